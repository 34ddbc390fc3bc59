// "Did you mean": the known word nearest to one that isn't known.

/** Reason: longer words aren't typing mistakes, and the distance costs their product. */
const WORD_CHARS_MAX = 64;

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, swap));
    }
    row = next;
  }
  return row[b.length];
}

/** Returns the nearest of the words, or null when none is near: a third of its letters may differ. */
export function nearest(word: string, words: readonly string[]): string | null {
  if (word.length > WORD_CHARS_MAX) return null;
  const wanted = word.toLowerCase().replaceAll('-', '_');
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of words) {
    const apart = distance(wanted, candidate.toLowerCase());
    if (apart < bestDistance && apart <= Math.max(1, Math.floor(candidate.length / 3))) {
      [best, bestDistance] = [candidate, apart];
    }
  }
  return best;
}

/** Returns `; did you mean X?`, or nothing. */
export function suggest(word: string, words: readonly string[]): string {
  const best = nearest(word, words);
  return best === null ? '' : `; did you mean ${best}?`;
}
