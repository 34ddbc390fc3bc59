// Documents that long runs write: from whole runs only, and with the text that the writer makes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentOf, whyNotWritten as whyNoFuzz } from '../fuzz/document.ts';
import { whyNotWritten as whyNoSoak } from '../soak/soak-report.ts';

const root = join(import.meta.dirname, '../..');
const fuzz = readFileSync(join(root, 'docs/fuzz.md'), 'utf8');
const soak = readFileSync(join(root, 'docs/soak.md'), 'utf8');

test('docs/fuzz.md is what its writer makes of its table', () => {
  const [, run] = /^Written by .* on (.*)$/m.exec(fuzz)!;
  const table = fuzz.slice(fuzz.indexOf('| what is given')).trimEnd();
  assert.equal(fuzz, documentOf(run, table));
});

/** Runs a file of tests; it would take minutes if it weren't refused. Resolves with its exit code and what it says. */
function run(file: string, environment: Record<string, string>): Promise<string> {
  const { NODE_TEST_CONTEXT: _own, ...env } = process.env;
  const options = { env: { ...env, FDSPAN_WRITE: '1', ...environment }, timeout: 60_000 };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, file)], options, (error, stdout, stderr) =>
      resolve(`${error?.code ?? 0}: ${stdout}${stderr}`),
    );
  });
}

test('a run that is shorter than by default, and is to write its document, ends before it begins', async () => {
  const [soaked, fuzzed] = await Promise.all([
    run('test/soak/soak.test.ts', { FDSPAN_SOAK_SECONDS: '60' }),
    run('test/fuzz/records.test.ts', { FDSPAN_FUZZ_RUNS: '10' }),
  ]);
  assert.match(
    soaked,
    /^1: .*docs\/soak\.md tells of whole runs only; FDSPAN_SOAK_SECONDS=60 is less than 600/s,
  );
  assert.match(
    fuzzed,
    /^1: .*docs\/fuzz\.md tells of whole runs only; FDSPAN_FUZZ_RUNS=10 is less than 1000000/s,
  );
  assert.equal(readFileSync(join(root, 'docs/soak.md'), 'utf8'), soak);
  assert.equal(readFileSync(join(root, 'docs/fuzz.md'), 'utf8'), fuzz);
});

test('so do a run at another rate and a single input; whole runs, and those that write nothing, begin', () => {
  assert.match(whyNoSoak(600, 5) ?? '', /FDSPAN_SOAK_RATE=5 is not the full rate/);
  assert.match(whyNoSoak(NaN, 0) ?? '', /SECONDS=NaN/);
  assert.deepEqual([whyNoSoak(600, 0), whyNoSoak(1200, 0)], [null, null]);
  assert.match(whyNoFuzz({ FDSPAN_WRITE: '1', FDSPAN_FUZZ_PATH: '1:0' }) ?? '', /PATH is one input/);
  for (const runs of ['1000000', undefined])
    assert.equal(whyNoFuzz({ FDSPAN_WRITE: '1', FDSPAN_FUZZ_RUNS: runs }), null);
  assert.equal(whyNoFuzz({ FDSPAN_FUZZ_RUNS: '10', FDSPAN_FUZZ_PATH: '1' }), null);
});
