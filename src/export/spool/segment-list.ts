// The spool's segments, oldest first.
import { NO_SPANS, spansWith, type SpanCounts } from '../../model/span-counts.ts';
import type { Segment } from './segment.ts';

/** The number of a spool's first segment: at a stop what memory held goes before it. */
const FIRST_NUMBER = 0x8000_0000;
/** Reason: a queue in memory of 16 GiB takes fewer segments. */
const NUMBERS_BEFORE = 1024;

export class SegmentList {
  #segments: readonly Segment[] = [];

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { size }) => sum + size, 0);
  }

  get waiting(): SpanCounts {
    return this.#segments.reduce((sum, { waiting }) => spansWith(sum, waiting), NO_SPANS);
  }

  get firstWaiting(): Segment | undefined {
    return this.#segments.find(({ hasWaiting }) => hasWaiting);
  }

  /** For a segment before all others. */
  get numberBefore(): number {
    return (this.#segments.at(0)?.number ?? FIRST_NUMBER) - NUMBERS_BEFORE;
  }

  /** For a segment behind all others. */
  get numberBehind(): number {
    return (this.#segments.at(-1)?.number ?? FIRST_NUMBER - 1) + 1;
  }

  add(segments: readonly Segment[]): void {
    this.#segments = [...this.#segments, ...segments].sort((one, other) => one.number - other.number);
  }

  remove(segment: Segment): void {
    this.#segments = this.#segments.filter((other) => other !== segment);
  }
}
