// What the control socket's two ends say to each other: one JSON object a line. A connection carries
// one request; `tail` is answered by a stream without end, `open` by lines and a last one that says whether they were
// all, everything else by one line.
import type { SpanRow } from './span-rows.ts';

/** Reason: a command and a few options; a longer line is refused, and its connection closed. */
export const REQUEST_BYTES_MAX = 4096;

/** Reason: 4,096 containers of some 2 KiB each. A longer answer is an error at the client. */
export const RESPONSE_BYTES_MAX = 16 << 20;

export type ControlRequest = Readonly<Record<string, unknown>> & { readonly command: string };

export type ControlResponse =
  { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: string };

/** Totals since the stream began, so that a lost line loses nothing. */
export interface TailStats {
  /** Spans that passed while this client was connected. */
  readonly spans: number;
  /** Not decoded: more than the rows a second. */
  readonly skipped: number;
  /** Decoded but not sent: this client read too slowly. */
  readonly dropped: number;
  /** The collector's own counters, as in `status`. */
  readonly counters: Readonly<Record<string, number>>;
}

export type TailMessage =
  | { readonly type: 'rows'; readonly rows: readonly SpanRow[] }
  | { readonly type: 'stats'; readonly stats: TailStats };

/** Errors of the control socket; `code` is stable. */
export class ControlError extends Error {
  readonly code: 'not_running' | 'not_permitted' | 'in_use' | 'timeout' | 'refused' | 'failed';

  constructor(code: ControlError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ControlError';
    this.code = code;
  }
}

/** Cuts a byte stream into lines, holding at most `bytesMax` of an unfinished one. */
export class LineSplitter {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Returns the lines that this chunk finished; null when one is longer than the limit. */
  push(chunk: Buffer): string[] | null {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const part = chunk.subarray(start, end);
      if (this.#bytes + part.length > this.#bytesMax) return null;
      lines.push(Buffer.concat([...this.#parts, part]).toString('utf8'));
      this.#parts = [];
      this.#bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      this.#parts.push(chunk.subarray(start));
      this.#bytes += chunk.length - start;
    }
    return this.#bytes > this.#bytesMax ? null : lines;
  }
}
