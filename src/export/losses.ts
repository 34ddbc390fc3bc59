// Counts and tells what is given up: refused, without room, or on a damaged disk.
import type { SpanCounts } from '../model/span-counts.ts';
import type { ExportReport } from './export-report.ts';
import type { SpanLedger } from './span-ledger.ts';

const REFUSALS = {
  rejected: 'the backend rejected a request',
  retries_exhausted: 'a request is given up after too many tries',
} as const;

export class Losses {
  readonly #ledger: SpanLedger;
  readonly #report: ExportReport;

  constructor(ledger: SpanLedger, report: ExportReport) {
    this.#ledger = ledger;
    this.#report = report;
  }

  /** The backend said no for good, or too often. */
  refused(reason: keyof typeof REFUSALS, counts: SpanCounts, why: { reason: string; cure: string }): void {
    this.#ledger.drop(reason, counts);
    this.#report.trouble(REFUSALS[reason], why.reason, { cure: why.cure }, counts.spans);
  }

  /** Memory is full, and no spool took it. */
  forRoom(counts: SpanCounts): void {
    this.#ledger.drop('queue_full', counts);
    const cure =
      'see why the backend takes no more; raise export.queue.bytes_max, set export.spool.dir, or lower sampling.ratio';
    this.#report.trouble('spans dropped: the export queue is full', 'queue_full', { cure }, counts.spans);
  }

  /** The spool is full, or what it gives isn't what was written. */
  ofSpool(reason: 'queue_full' | 'spool_damaged', counts: SpanCounts): void {
    this.#ledger.drop(reason, counts);
    const isFull = reason === 'queue_full';
    const cure = isFull
      ? 'see why the backend takes no more; raise export.spool.bytes_max'
      : 'check the disk';
    const what = isFull ? 'spans dropped: the spool is full' : 'spans dropped: the spool is damaged';
    this.#report.trouble(what, reason, { cure }, counts.spans);
  }

  /** An earlier run left spans; those of requests that aren't whole are lost. */
  recovered(found: SpanCounts, torn: SpanCounts): void {
    this.#ledger.recover(found);
    if (torn.spans + torn.processSpans + torn.heldSpans > 0) this.ofSpool('spool_damaged', torn);
  }
}
