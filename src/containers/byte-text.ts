// Bytes from containers (paths, names) as text that OTLP accepts: valid UTF-8, no control
// characters, bounded.

/** Longest text of one attribute that comes from a container. Reason: PATH_MAX; more is cut off. */
export const TEXT_BYTES_MAX = 4096;

function hexOf(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** Returns the length of the well-formed UTF-8 sequence at `at`, or 0 (Unicode 16, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.length) return 0;
  const second = bytes[at + 1];
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = at + 2; i < at + length; i++) {
    if ((bytes[i] & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/**
 * Turns a latin1 string (one character per byte) into text: UTF-8 is decoded, control characters
 * and bytes that aren't UTF-8 become `\xNN`. Of more than `bytesMax` bytes the tail is kept.
 */
export function textOfBytes(latin1: string, bytesMax: number = TEXT_BYTES_MAX): string {
  const bytes = Buffer.from(latin1.length > bytesMax ? latin1.slice(-bytesMax) : latin1, 'latin1');
  const parts: string[] = [];
  let start = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length !== 0 && bytes[at] >= 0x20 && bytes[at] !== 0x7f) {
      at += length;
      continue;
    }
    parts.push(bytes.toString('utf8', start, at), hexOf(bytes[at]));
    at += 1;
    start = at;
  }
  parts.push(bytes.toString('utf8', start, at));
  return parts.join('');
}
