// The kernel's walk of the globs against the hand-written table, user space's walk and the backtracking model.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { acceptsOf, compileGlobs } from '../../src/filter/glob-table.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { MATCHING } from '../helpers/glob-cases.ts';
import { globMatches, globOf, pathOf, textOfGlob } from '../helpers/glob-model.ts';
import { KernelGlobs } from '../helpers/kernel-globs.ts';

const skip = whyNoKernelTests() ?? false;
const CHARACTERS = ['a', 'b', '1', '.', 'é', '*', '['];
/** Longer paths go to a long record. */
const SHORT_BYTES_MAX = 120;
const LONG_BYTES_MAX = 4096;

function kernelGlobs(context: TestContext): KernelGlobs {
  const kernel = new KernelGlobs();
  context.after(() => kernel.close());
  return kernel;
}

test('the kernel decides the table of globs and paths as it is written', { skip }, (context) => {
  const kernel = kernelGlobs(context);
  for (const [glob, matching, other] of MATCHING) {
    kernel.use(compileGlobs([{ globs: [glob], accepts: 1 }], []));
    for (const isLong of [false, true]) {
      const matches = (path: string): boolean => kernel.accepts(Buffer.from(path), 0, 0, isLong) === 1;
      for (const path of matching) assert.equal(matches(path), true, `${glob} matches ${path}`);
      for (const path of other) assert.equal(matches(path), false, `${glob} doesn't match ${path}`);
    }
  }
});

test('the kernel decides as a backtracking matcher does, wherever the path lies', { skip }, (context) => {
  const kernel = kernelGlobs(context);
  const seen = { true: 0, false: 0 };
  fc.assert(
    fc.property(
      fc.array(globOf(CHARACTERS, 'all'), { minLength: 1, maxLength: 3 }),
      fc.array(pathOf(CHARACTERS), { minLength: 1, maxLength: 8 }),
      fc.nat({ max: 63 }),
      fc.boolean(),
      (globs, paths, base, isLong) => {
        kernel.use(compileGlobs([{ globs: globs.map(textOfGlob), accepts: 1 }], []));
        for (const path of paths) {
          const isMatch = globs.some((glob) => globMatches(glob, path));
          assert.equal(kernel.accepts(Buffer.from(path), 0, base, isLong) === 1, isMatch, path);
          seen[`${isMatch}`] += 1;
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(seen.true > 50 && seen.false > 50, JSON.stringify(seen));
});

test('kernel and user space agree on any bytes, of paths, cut paths and names', { skip }, (context) => {
  const kernel = kernelGlobs(context);
  const paths = [
    { globs: ['**/*.so', '/usr/**', '**/[a-c]?{x,yz}*'], accepts: 1 },
    { globs: ['/**/a/**', '*\u{1f600}'], accepts: 0x4000_0000 },
  ];
  const table = compileGlobs(paths, [{ globs: ['a*', '?b'], accepts: 0x8000_0000 }]);
  kernel.use(table);
  const rows = [0, table.nameRow, table.cutPathRow];
  const byte = fc.oneof(fc.constantFrom(...Buffer.from('/ab.sox')), fc.integer({ min: 0, max: 255 }));
  const check = (maxLength: number, isLong: boolean, numRuns: number): void =>
    fc.assert(
      fc.property(
        fc.array(byte, { maxLength }).map((bytes) => Uint8Array.from(bytes)),
        fc.constantFrom(...rows),
        fc.nat({ max: isLong ? 255 : 63 }),
        (text, row, base) => {
          const expected = acceptsOf(table, row, text, 0, text.length);
          assert.equal(kernel.accepts(text, row, base, isLong), expected);
        },
      ),
      { numRuns },
    );
  check(SHORT_BYTES_MAX, false, 2000);
  check(SHORT_BYTES_MAX, true, 1000);
  check(LONG_BYTES_MAX, true, 100);
});

test('the longest path is walked to its last byte', { skip }, (context) => {
  const kernel = kernelGlobs(context);
  kernel.use(
    compileGlobs(
      [
        { globs: ['/a**z'], accepts: 1 },
        { globs: ['**/*y'], accepts: 2 },
      ],
      [],
    ),
  );
  for (const [last, expected] of [
    ['z', 1],
    ['y', 2],
    ['a', 0],
  ] as const) {
    const path = Buffer.concat([Buffer.from('/'), Buffer.alloc(LONG_BYTES_MAX - 2, 'a'), Buffer.from(last)]);
    assert.equal(kernel.accepts(path, 0, 255, true), expected, last);
  }
});
