// The tracestate of a span: the threshold that it was sampled by, as OpenTelemetry's consistent probability sampling
// writes it (`ot=th:`, up to 14 hexadecimal digits of 56 bits, without trailing zeros).
import type { SpanArena } from './span-arena.ts';

const TRACE_STATE_TAG = 0x1a;
/** `ot` and `=th:`, as words. */
const VENDOR = 0x746f0000;
const KEY = 0x3a68743d;
const PREFIX_BYTES = 6;
const DIGITS = Buffer.from('0123456789abcdef');
/** Digits of a 32-bit threshold: the highest of the 56 bits, whose rest is 0. */
const DIGITS_MAX = 8;

/** Appends the field. 0, which samples all, is `th:0`. */
export function writeTraceState(arena: SpanArena, threshold: number): void {
  let count = DIGITS_MAX;
  while (count > 1 && ((threshold >>> (4 * (DIGITS_MAX - count))) & 15) === 0) count -= 1;
  arena.patchFixed32(arena.position, TRACE_STATE_TAG | ((PREFIX_BYTES + count) << 8) | VENDOR);
  arena.patchFixed32(arena.position + 4, KEY);
  arena.position += 8;
  for (let digit = 0; digit < count; digit += 1) {
    arena.bytes[arena.position++] = DIGITS[(threshold >>> (4 * (DIGITS_MAX - 1 - digit))) & 15];
  }
}
