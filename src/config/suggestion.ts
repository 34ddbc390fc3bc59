// "Did you mean …?" for keys and variables that don't exist.
import { KEYS } from './schema.ts';

/** Reason: no key is longer, and the comparison takes the product of the lengths. */
const NAME_CHARS_MAX = 64;
/** Reason: two slips of the finger; more is another word. */
const EDITS_MAX = 2;

/** The variable of a key: `export.queue.bytes_max` → FDSPAN_EXPORT_QUEUE_BYTES_MAX. */
export function variableOf(key: string): string {
  return `FDSPAN_${key.toUpperCase().replaceAll('.', '_')}`;
}

/** Returns `; did you mean …?` for the key that is nearest, or nothing. */
export function suggestionFor(key: string): string {
  return suggestion(key, Object.keys(KEYS));
}

/** As {@link suggestionFor}, for variables. */
export function suggestionForVariable(name: string): string {
  return suggestion(name, Object.keys(KEYS).map(variableOf));
}

/** By slips of the finger first, then by the last word under another section, then a key above or below. */
function suggestion(name: string, known: readonly string[]): string {
  if (name.length > NAME_CHARS_MAX) return '';
  const edits = known.map((candidate) => ({ candidate, count: editsBetween(name, candidate) }));
  const nearest = edits.reduce((best, each) => (each.count < best.count ? each : best));
  const last = name.split('.').at(-1)!;
  const near =
    (nearest.count <= EDITS_MAX ? nearest.candidate : undefined) ??
    known.find((candidate) => candidate.split('.').at(-1) === last) ??
    known.find((candidate) => name.startsWith(`${candidate}.`) || candidate.startsWith(`${name}.`)) ??
    known.find((candidate) => editsBetween(last, candidate.split('.').at(-1)!) <= 1) ??
    known.find((candidate) => editsBetween(name, candidate.split('.')[0]) <= EDITS_MAX);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

/** The Levenshtein distance. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_value, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
