// What the collector hands sealed requests to: the exporter, or the table of `fdspan tail`.

import type { SpanCounts } from './model/span-counts.ts';

/** What is on the disk. */
export interface SpoolState {
  readonly waiting: SpanCounts;
  readonly bytes: number;
  readonly bytesMax: number;
}

/** Where sealed requests go. */
export interface RequestSink {
  /** Resolves when the bytes are no longer needed. */
  enqueue(
    request: Uint8Array,
    spans: number,
    processSpans: number,
    heldSpans: number,
    /** When the first file of it was closed, by the boot clock. */
    closedBootMs: number,
  ): Promise<void> | void;
  flush(deadlineMs: number): Promise<void>;
  /** Ends a flush that is under way; what is left is counted. */
  close(): Promise<void> | void;
  /** Spans that are encoded, and neither accepted nor dropped nor on the disk. */
  readonly unsettledSpans: number;
  readonly queuedBytes: number;
  /** Whether a portion of spans pushes nothing out that came before. */
  readonly hasRoom: boolean;
  readonly spool: SpoolState | null;
}
