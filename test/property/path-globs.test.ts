// Stage filter: the path automaton against a backtracking model and picomatch; its size and its steps.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import picomatch from 'picomatch';
import { acceptsOf, compileGlobs, GLOB_STATES_MAX } from '../../src/filter/glob-table.ts';
import type { GlobTable } from '../../src/model/glob-table.ts';
import { GLOB_CELLS } from '../../src/model/record-layout.ts';
import { MATCHING } from '../helpers/glob-cases.ts';
import { globMatches, globOf, pathOf, textOfGlob, type Glob } from '../helpers/glob-model.ts';

const CHARACTERS = ['a', 'b', '1', '.', 'é', '\u{1f600}', '*', '\\', '[', '{', ',', '}'];
/** picomatch has its own ideas of the others: a backslash, a bracket, two UTF-16 units for one character. */
const PICOMATCH_CHARACTERS = ['a', 'b', '1', '_'];

function tableOf(globs: readonly string[]): GlobTable {
  return compileGlobs([{ globs, accepts: 1 }], []);
}

function isExcluded(globs: readonly string[], path: string | Uint8Array): boolean {
  const bytes = Buffer.from(path);
  return acceptsOf(tableOf(globs), 0, bytes, 0, bytes.length) === 1;
}

for (const [glob, matching, other] of MATCHING)
  test(`${glob} matches ${matching.join(' ')}`, () => {
    for (const path of matching) assert.equal(isExcluded([glob], path), true, `${glob} matches ${path}`);
    for (const path of other) assert.equal(isExcluded([glob], path), false, `${glob} doesn't match ${path}`);
  });

test('globs that say nothing exact are refused, and named', () => {
  for (const glob of ['', '[', '[!]', '[b-a]', '[é]', '{a', 'a\\', '{{{{{{{{{a}}}}}}}}}'])
    assert.throws(
      () => tableOf([glob]),
      (error: Error) => error.message.startsWith(`glob ${JSON.stringify(glob)} `),
    );
});

test('the automaton decides as a backtracking matcher does', () => {
  const seen = { true: 0, false: 0 };
  fc.assert(
    fc.property(
      fc.array(globOf(CHARACTERS, 'all'), { minLength: 1, maxLength: 3 }),
      fc.array(pathOf(CHARACTERS), { minLength: 1, maxLength: 8 }),
      (globs, paths) => {
        for (const path of paths) {
          const isMatch = globs.some((glob) => globMatches(glob, path));
          assert.equal(isExcluded(globs.map(textOfGlob), path), isMatch, path);
          seen[`${isMatch}`] += 1;
        }
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(seen.true > 50 && seen.false > 50, JSON.stringify(seen));
});

/**
 * Left out, as picomatch has other rules for it: `/**` first (its `/**` `/b` doesn't match /b), relative
 * paths, dots (`.` and `..` are no names, and `{a,..}` is a range), `[!a]` (it takes a `/`), a `*` in
 * braces (it may be an empty name), and for `x/**` x itself.
 */
function isAlike({ isAbsolute, segments }: Glob, path: string): boolean {
  return path.startsWith('/') && !(isAbsolute && segments[0] === 'any');
}

/** `x/**` isn't x itself: written so that picomatch says the same. */
function picomatchText(glob: Glob): string {
  const text = textOfGlob(
    glob.segments.at(-1) === 'any' ? { ...glob, segments: [...glob.segments, [{ type: 'star' }]] } : glob,
  );
  return glob.isAbsolute || text.startsWith('**/') ? text : `**/${text}`;
}

test('the automaton decides as picomatch does, where the two have the same rules', () => {
  let matchCount = 0;
  fc.assert(
    fc.property(globOf(PICOMATCH_CHARACTERS, 'plain'), pathOf(PICOMATCH_CHARACTERS), (glob, path) => {
      fc.pre(isAlike(glob, path));
      const isMatch = picomatch(picomatchText(glob), { dot: true, noextglob: true })(path);
      assert.equal(isExcluded([textOfGlob(glob)], path), isMatch, `${textOfGlob(glob)} on ${path}`);
      if (isMatch) matchCount += 1;
    }),
    { numRuns: 3000 },
  );
  assert.ok(matchCount > 200, `${matchCount} of 3,000 matched`);
});

test('any text is a glob or is refused, and any bytes as a path are judged', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.array(fc.constantFrom(...'ab/*?[]!{},\\-^é'), { maxLength: 12 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, fc.uint8Array({ maxLength: 300 }), (glob, path) => {
      try {
        isExcluded([glob], path);
      } catch (error) {
        assert.match((error as Error).message, /^glob |states together/);
      }
    }),
    { numRuns: 1000 },
  );
});

test('each list has its own bit, and names are matched by their own globs only', () => {
  const paths = [
    { globs: ['/a/x', '/n'], accepts: 1 },
    { globs: ['/a/**'], accepts: 2 },
  ];
  const table = compileGlobs(paths, [{ globs: ['n*', '[xy]'], accepts: 0x8000_0000 }]);
  const of = (row: number, text: string): number => acceptsOf(table, row, Buffer.from(text), 0, text.length);
  assert.deepEqual(
    ['/a/b', '/a/x', '/b', '/n', 'nginx'].map((path) => of(0, path)),
    [2, 3, 0, 1, 0],
  );
  assert.deepEqual(
    ['nginx', 'n', 'x', 'xn', '/a/x'].map((name) => of(table.nameRow, name)),
    [0x8000_0000, 0x8000_0000, 0x8000_0000, 0, 0x8000_0000],
  );
});

test('of a path whose head was cut, no glob from the root on is told to match', () => {
  const table = tableOf(['/a/**', '**/b', 'c*']);
  const of = (path: string): number => acceptsOf(table, table.cutPathRow, Buffer.from(path), 0, path.length);
  assert.deepEqual(['/a/x', 'a/x', '/x/b', 'x/b', '/c', 'x/cc'].map(of), [0, 0, 1, 1, 1, 1]);
});

/** Steps of the automaton: reads of its cells but the last one, of the accept word. */
function stepsOf(table: GlobTable, path: Uint8Array): number {
  let reads = 0;
  const cells = new Proxy(table.cells, {
    get(target, key) {
      reads += 1;
      return target[Number(key)];
    },
  });
  acceptsOf({ ...table, cells }, 0, path, 0, path.length);
  return reads - 1;
}

test('hostile globs and paths cost one step a byte and a few states', () => {
  for (const glob of ['**/*a*a*a*a*x', '**/a/**/a/**/a/**/x', '/*?*?*?*?*b', '**/{a,a,a,aa}*{a,aa}*x']) {
    const table = tableOf([glob]);
    const states = table.cells.length / (table.acceptColumn / 4 + 1);
    assert.ok(states <= 4 * glob.length, `${glob}: ${states} states`);
    for (const bytes of [255, 4096])
      assert.equal(stepsOf(table, Buffer.alloc(bytes, glob.includes('a/') ? 'a/' : 'a')), bytes);
  }
});

test('globs that need too many states are refused with the limit', () => {
  const states = new RegExp(`more than ${GLOB_STATES_MAX} states`);
  assert.throws(() => tableOf([`*a${'?'.repeat(16)}`]), states);
  const many = Array.from({ length: 500 }, (_, at) => `/${at}/some/longer/path/of/its/own`);
  assert.throws(() => tableOf(many), states);
  const letters = Array.from({ length: 180 }, (_, at) => String.fromCodePoint(0x4e00 + at * 7));
  const kinds = letters.map((letter) => `/${letter}${letters.slice(0, 40).join('')}`);
  assert.throws(() => tableOf(kinds), /more than \d{4} states/);
  for (const globs of [letters.map((letter) => `/${letter}`)])
    assert.ok(tableOf(globs).cells.length <= GLOB_CELLS);
});
