// Reasons for people and logs, of what was thrown and of what a server answers.

/** Reason: a server may answer with any text, and its creator chose it. */
const REASON_CHARS_MAX = 200;

/** Returns a server's own words, cut to what a log needs. */
export function shortReason(text: string): string {
  return text.slice(0, REASON_CHARS_MAX).trim().toWellFormed();
}

/** Returns the message of what was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
