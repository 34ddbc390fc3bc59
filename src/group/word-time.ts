// Times of 64 bits as two words.

/** Whether one time is before another. */
export function isBefore(oneLo: number, oneHi: number, otherLo: number, otherHi: number): boolean {
  if (oneHi !== otherHi) return oneHi >>> 0 < otherHi >>> 0;
  return oneLo >>> 0 < otherLo >>> 0;
}
