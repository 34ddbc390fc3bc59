// Where the spans of requests end: each in exactly one counter of the shared block.
import { counterIndex, type CounterName } from '../model/counters.ts';
import type { SpanCounts } from '../model/span-counts.ts';

export class SpanLedger {
  readonly #counters: Float64Array;

  constructor(counters: Float64Array) {
    this.#counters = counters;
  }

  accept({ spans, processSpans, heldSpans }: SpanCounts): void {
    this.count('spans_accepted', spans);
    this.count('process_spans_accepted', processSpans);
    this.count('held_spans_accepted', heldSpans);
  }

  /** What is no pair's is counted apart, whatever it is dropped for. */
  drop(reason: CounterName, { spans, processSpans, heldSpans }: SpanCounts): void {
    this.count(reason, spans);
    this.count('process_spans_dropped', processSpans);
    this.count('held_spans_dropped', heldSpans);
  }

  /** An earlier run encoded them. */
  recover({ spans, processSpans, heldSpans }: SpanCounts): void {
    this.count('spool_recovered', spans);
    this.count('process_spans_recovered', processSpans);
    this.count('held_spans_recovered', heldSpans);
  }

  count(name: CounterName, value: number): void {
    this.#counters[counterIndex(name)] += value;
  }
}
