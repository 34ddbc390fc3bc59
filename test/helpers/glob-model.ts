// A path glob as a tree: its text, and whether it matches a path, by backtracking from the grammar in
// src/filter/glob-parser.ts's header. The text isn't parsed here, so no parser is shared with src.
import fc from 'fast-check';

export type Atom =
  | { readonly type: 'literal'; readonly character: string }
  | { readonly type: 'star' }
  | { readonly type: 'one' }
  | { readonly type: 'set'; readonly members: string; readonly isNegated: boolean }
  | { readonly type: 'either'; readonly branches: readonly (readonly Atom[])[] };
/** `**`, or what one directory's name must be. */
export type Segment = 'any' | readonly Atom[];
export interface Glob {
  readonly isAbsolute: boolean;
  readonly segments: readonly Segment[];
}

const SPECIAL = new Set('*?[{\\,}');

function textOfAtoms(atoms: readonly Atom[]): string {
  return atoms
    .map((atom) => {
      if (atom.type === 'literal') return `${SPECIAL.has(atom.character) ? '\\' : ''}${atom.character}`;
      if (atom.type === 'star') return '*';
      if (atom.type === 'one') return '?';
      if (atom.type === 'set') return `[${atom.isNegated ? '!' : ''}${atom.members}]`;
      return `{${atom.branches.map(textOfAtoms).join(',')}}`;
    })
    .join('');
}

/** The glob as a user would write it. */
export function textOfGlob({ isAbsolute, segments }: Glob): string {
  const texts = segments.map((segment) => (segment === 'any' ? '**' : textOfAtoms(segment)));
  return `${isAbsolute ? '/' : ''}${texts.join('/')}`;
}

/** Tells whether the glob matches the whole path. */
export function globMatches(glob: Glob, path: string): boolean {
  const characters = Array.from(path);
  if (glob.isAbsolute) return characters[0] === '/' && segmentsMatch(glob.segments, characters, 1);
  return segmentsMatch(['any', ...glob.segments], characters, 0);
}

function segmentsMatch(segments: readonly Segment[], path: readonly string[], from: number): boolean {
  const [first, ...rest] = segments;
  if (first === 'any') {
    if (rest.length === 0) return from < path.length;
    if (segmentsMatch(rest, path, from)) return true;
    return path.some((character, at) => at >= from && character === '/' && segmentsMatch(rest, path, at + 1));
  }
  return ends(first, path, from).some((end) =>
    rest.length === 0 ? end === path.length : path[end] === '/' && segmentsMatch(rest, path, end + 1),
  );
}

/** Where the atoms can end that begin at `from`. */
function ends(atoms: readonly Atom[], path: readonly string[], from: number): number[] {
  const [first, ...rest] = atoms;
  if (first === undefined) return [from];
  return [...new Set(endsOfOne(first, path, from).flatMap((end) => ends(rest, path, end)))];
}

function endsOfOne(atom: Atom, path: readonly string[], from: number): number[] {
  if (atom.type === 'either') return atom.branches.flatMap((branch) => ends(branch, path, from));
  if (atom.type === 'star') {
    const slash = path.indexOf('/', from);
    const last = slash < 0 ? path.length : slash;
    return Array.from({ length: last - from + 1 }, (_, count) => from + count);
  }
  const character = path[from];
  if (character === undefined || character === '/') return [];
  if (atom.type === 'one') return [from + 1];
  if (atom.type === 'literal') return character === atom.character ? [from + 1] : [];
  return isMember(atom.members, character) !== atom.isNegated ? [from + 1] : [];
}

/** Members are written as `ab` or, with a dash between two, as a range. */
function isMember(members: string, character: string): boolean {
  const [first, dash, last] = members;
  if (dash === '-') return character.length === 1 && character >= first && character <= last;
  return members.includes(character);
}

/** Globs whose literals come from so few characters that paths of the same match often. */
export function globOf(
  characters: readonly string[],
  /** `plain`: no negated sets, and braces of letters only, at least two. */
  kind: 'plain' | 'all',
): fc.Arbitrary<Glob> {
  const literal = fc.constantFrom(...characters).map((character): Atom => ({ type: 'literal', character }));
  const simple: fc.Arbitrary<Atom> = fc.oneof(
    { weight: 4, arbitrary: literal },
    { weight: 2, arbitrary: fc.constant<Atom>({ type: 'star' }) },
    { weight: 1, arbitrary: fc.constant<Atom>({ type: 'one' }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('set' as const),
        members: fc.constantFrom('a', 'ab', 'a-c', 'b1', '0-9'),
        isNegated: kind === 'all' ? fc.boolean() : fc.constant(false),
      }),
    },
  );
  const branch = fc
    .array(kind === 'all' ? simple : literal, { minLength: 1, maxLength: 2 })
    .map(withoutDoubleStars);
  const atom = fc.oneof(
    { weight: 6, arbitrary: simple },
    {
      weight: 1,
      arbitrary: fc
        .array(branch, { minLength: kind === 'all' ? 1 : 2, maxLength: 3 })
        .map((branches): Atom => ({ type: 'either', branches })),
    },
  );
  const segment: fc.Arbitrary<Segment> = fc.oneof(
    { weight: 1, arbitrary: fc.constant<Segment>('any') },
    { weight: 3, arbitrary: fc.array(atom, { minLength: 1, maxLength: 4 }).map(withoutDoubleStars) },
  );
  return fc
    .record({ isAbsolute: fc.boolean(), segments: fc.array(segment, { minLength: 1, maxLength: 3 }) })
    .filter(({ segments }) => segments.every((it, at) => it !== 'any' || segments[at + 1] !== 'any'));
}

/** Two stars side by side would be another token. */
function withoutDoubleStars(atoms: readonly Atom[]): readonly Atom[] {
  return atoms.filter(({ type }, at) => type !== 'star' || atoms[at + 1]?.type !== 'star');
}

/** Paths of such characters, mostly absolute. */
export function pathOf(characters: readonly string[]): fc.Arbitrary<string> {
  const segment = fc.array(fc.constantFrom(...characters), { minLength: 1, maxLength: 3 });
  return fc
    .tuple(fc.constantFrom('/', '/', '/', ''), fc.array(segment, { minLength: 1, maxLength: 4 }))
    .map(([root, segments]) => root + segments.map((it) => it.join('')).join('/'));
}
