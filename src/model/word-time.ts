// Times of 64 bits as two words.

/** Whether one time is before another. */
export function isBefore(oneLo: number, oneHi: number, otherLo: number, otherHi: number): boolean {
  if (oneHi !== otherHi) return oneHi >>> 0 < otherHi >>> 0;
  return oneLo >>> 0 < otherLo >>> 0;
}

/** Returns nanoseconds, given as two words of any sign, in milliseconds. */
export function milliseconds(lo: number, hi: number): number {
  return ((hi >>> 0) * 0x100000000 + (lo >>> 0)) / 1e6;
}
