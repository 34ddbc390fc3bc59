// One trace as it crosses from stage group to stage encode: a mutable object, so that no span costs an allocation.
// Trace ids are four little-endian words, span ids two.

export class TraceCursor {
  trace0 = 0;
  trace1 = 0;
  trace2 = 0;
  trace3 = 0;
  /** The span id of the trace's root. */
  rootLo = 0;
  rootHi = 0;
  /** Wall time minus boot time: one offset for all spans of a trace. */
  offsetLo = 0;
  offsetHi = 0;

  // The rest is set for a root only.
  slot = 0;
  /** Files that outlived the slice they were opened in. */
  isLate = false;
  executionLo = 0;
  executionHi = 0;
  startedLo = 0;
  startedHi = 0;
  endedLo = 0;
  endedHi = 0;
  pid = 0;
  vpid = 0;
  parentPid = 0;
  userId = 0;
  /** The smallest of its children's, as RecordCursor has it. */
  threshold = 0;
  /** Whether all its children claim theirs. */
  hasThreshold = true;
  /** Spans of the trace, and of them by access, failed, and reports of files that are still open. */
  files = 0;
  readFiles = 0;
  writtenFiles = 0;
  readWrittenFiles = 0;
  failedFiles = 0;
  heldReports = 0;
  /** What the kernel told of the slice; `isTold` is false when it didn't. */
  isTold = false;
  opens = 0;
  unsampled = 0;
  dropped = 0;
  /** SLICE_EXIT and so on; 0 while it goes on. */
  endReason = 0;
  /** As wait(2) gives it; for SLICE_EXIT. */
  exitCode = 0;
  executable: Uint8Array = new Uint8Array(0);
  executableOffset = 0;
  executableBytes = 0;
  /** What the main thread is called, in the same array; no bytes when it isn't known. */
  commOffset = 0;
  commBytes = 0;
  /** Roots that this one links to, as trace and span ids of six words each. */
  readonly links = new Int32Array(12);
  linkCount = 0;

  /** Takes over another trace's id as a link. */
  link(trace0: number, trace1: number, trace2: number, trace3: number): void {
    const at = 6 * this.linkCount;
    this.links[at] = trace0;
    this.links[at + 1] = trace1;
    this.links[at + 2] = trace2;
    this.links[at + 3] = trace3;
    this.links[at + 4] = rootLow(trace0, trace1);
    this.links[at + 5] = rootHigh(trace0, trace1);
    this.linkCount += 1;
  }
}

/** A root's span id follows from its trace id: children name it before it is sent, links after. */
export function rootLow(trace0: number, trace1: number): number {
  return Math.imul(trace0 ^ 0x51ed270b, 0x9e3779b1) ^ trace1;
}

/** The high word; never 0. */
export function rootHigh(trace0: number, trace1: number): number {
  return (Math.imul(trace1 ^ 0x2c1b3c6d, 0x85ebca77) ^ trace0) | 1;
}
