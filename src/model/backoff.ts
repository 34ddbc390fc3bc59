// How long to wait after failures in a row.

/** Returns the wait before the next try: doubled with each failure, up to a maximum, and off by up to half of itself, so that a fleet doesn't return at once. */
export function backoffMs(
  failures: number,
  firstMs: number,
  maxMs: number,
  random: () => number = Math.random,
): number {
  const exponential = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return exponential * (0.5 + random());
}
