// What the collector hands sealed requests to: the exporter, or the table of `fdspan tail`.

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
  close(): void;
  readonly inFlightSpans: number;
  readonly queuedBytes: number;
}
