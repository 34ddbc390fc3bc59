// What one send can end in, whatever the transport. Retry, counters and logs follow from it alone.

export type SendResult = Success | Partial | Retryable | Permanent | Damaged;

export interface Success {
  readonly kind: 'success';
  /** Something odd in an answer that still says yes; null otherwise. */
  readonly oddity: string | null;
}

/** Accepted but for `rejectedSpans`; never sent again (OTLP, "Partial Success"). */
export interface Partial {
  readonly kind: 'partial';
  readonly rejectedSpans: number;
  readonly reason: string;
}

export interface Retryable {
  readonly kind: 'retryable';
  /** What happened, in the backend's or the system's words. */
  readonly reason: string;
  /** What an operator can do about it. */
  readonly cure: string;
  /** The least wait, as the backend asked for it; null: it asked for none. The exporter's own backoff counts, too. */
  readonly retryAfterMs: number | null;
}

export interface Permanent {
  readonly kind: 'permanent';
  readonly reason: string;
  readonly cure: string;
  /** The backend refused the compression, not the spans. */
  readonly isEncodingRefused: boolean;
  /** The backend refused the credentials (401, UNAUTHENTICATED). */
  readonly isUnauthenticated: boolean;
}

/** What the spool held is no request, though its checksum is right: it was never sent. */
export interface Damaged {
  readonly kind: 'damaged';
  readonly reason: string;
}

export function retryable(reason: string, cure: string, retryAfterMs: number | null = null): Retryable {
  return { kind: 'retryable', reason, cure, retryAfterMs };
}

export function permanent(
  reason: string,
  cure: string,
  flags: Pick<Permanent, 'isEncodingRefused' | 'isUnauthenticated'>,
): Permanent {
  return { kind: 'permanent', reason, cure, ...flags };
}

/** Longest wait that a backend may ask for: beyond it the queue would be lost for one wrong number. */
export const RETRY_AFTER_MAX_MS = 5 * 60_000;

/** Characters of a backend's text in logs: enough for a sentence, too few to flood. */
const BACKEND_TEXT_MAX = 300;

/** Returns a backend's text on one line, without control characters, cut to a sentence's length. */
export function boundedText(text: string): string {
  const line = text
    .slice(0, BACKEND_TEXT_MAX * 2)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return line.length > BACKEND_TEXT_MAX ? `${line.slice(0, BACKEND_TEXT_MAX)}…` : line;
}
