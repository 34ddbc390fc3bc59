// What a sampled span stands for, after OpenTelemetry's specification of probability sampling and not after the code
// under test: `ot=th:` is a 56-bit number with its trailing zeros cut, and the span stands for 2^56 / (2^56 - th) ones.
import assert from 'node:assert/strict';

const HEX_DIGITS = 14;
const WHOLE = 2n ** 56n;

/** Returns the threshold (56 bits) of a tracestate, or null where none is claimed. */
export function thresholdOf(traceState: string): bigint | null {
  if (traceState === '') return null;
  const [, digits] = /^ot=th:(0|[0-9a-f]{0,13}[1-9a-f])$/.exec(traceState) ?? [];
  assert.ok(digits !== undefined, `a tracestate of the specification's form: ${traceState}`);
  return BigInt(`0x${digits.padEnd(HEX_DIGITS, '0')}`);
}

/** Returns how many spans one with this threshold stands for. */
export function adjustedCount(threshold: bigint): number {
  return Number(WHOLE) / Number(WHOLE - threshold);
}

/** Returns 5 standard deviations of the estimate, when each of the slices passes as a whole with this ratio. */
export function tolerance(sliceSizes: readonly number[], ratio: number): number {
  const squares = sliceSizes.reduce((sum, size) => sum + size * size, 0);
  return 5 * Math.sqrt((squares * (1 - ratio)) / ratio);
}
