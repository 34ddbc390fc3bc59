// The spans of one request by what they are counted as.

export interface SpanCounts {
  /** Of pairs: the law's own. */
  readonly spans: number;
  /** Roots of traces. */
  readonly processSpans: number;
  /** Reports of files that are still open. */
  readonly heldSpans: number;
}

/** Returns what so many of them are counted as, where nobody told which: pairs come first. */
export function firstSpans(counts: SpanCounts, count: number): SpanCounts {
  const spans = Math.min(count, counts.spans);
  const processSpans = Math.min(count - spans, counts.processSpans);
  return { spans, processSpans, heldSpans: Math.min(count - spans - processSpans, counts.heldSpans) };
}

/** Returns those that are left. */
export function spansWithout(counts: SpanCounts, taken: SpanCounts): SpanCounts {
  return {
    spans: counts.spans - taken.spans,
    processSpans: counts.processSpans - taken.processSpans,
    heldSpans: counts.heldSpans - taken.heldSpans,
  };
}

export const NO_SPANS: SpanCounts = { spans: 0, processSpans: 0, heldSpans: 0 };

export function spansWith(counts: SpanCounts, more: SpanCounts): SpanCounts {
  return {
    spans: counts.spans + more.spans,
    processSpans: counts.processSpans + more.processSpans,
    heldSpans: counts.heldSpans + more.heldSpans,
  };
}
