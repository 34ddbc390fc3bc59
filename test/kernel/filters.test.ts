// Each filter on real opens: which become spans, and that the others are counted exactly. The expectation is the
// workload's own list, judged here by plain code.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import type { ExpectedSpan } from '../helpers/workload.ts';
import { assertSameSpans, type SeenSpan } from './compare-spans.ts';
import { tracedRun, type RunResult } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const COUNT = 7;
const O_ACCMODE = 3;
const PATH_BYTES_MAX = 4096;

interface FilterCase {
  readonly title: string;
  readonly scenario: string;
  readonly set: Readonly<Record<string, string>>;
  readonly isKept: (span: ExpectedSpan) => boolean;
  /** Of what isn't kept; null: it isn't in scope. */
  readonly counter: 'path_excluded' | 'process_excluded' | 'too_short' | null;
}

const nameOf = (span: ExpectedSpan): string => basename(span.path.toString());
const accessOf = (span: ExpectedSpan): number => span.flags & O_ACCMODE;
const CASES: readonly FilterCase[] = [
  {
    title: 'paths that an exclude glob matches make no span',
    scenario: 'every-open',
    set: { 'files.exclude': '["**/basic-*", "**/{created,link}-[0-3]"]' },
    isKept: (span) => !/^basic-|^(created|link)-[0-3]$/.test(nameOf(span)),
    counter: 'path_excluded',
  },
  {
    title: 'only paths that an include glob matches make spans, and exclude beats include',
    scenario: 'every-open',
    set: { 'files.include': '["**/relative-*", "**/handle-*"]', 'files.exclude': '["**/*-3"]' },
    isKept: (span) => /^(relative|handle)-/.test(nameOf(span)) && !nameOf(span).endsWith('-3'),
    counter: 'path_excluded',
  },
  {
    title: 'long names and names of any bytes are judged to their end',
    scenario: 'odd-names',
    set: { 'files.exclude': '["**/n*n", "caf?-*", "*\\u007f"]' },
    isKept: (span) => !/^n+$|^café-|\x7f$/.test(nameOf(span)),
    counter: 'path_excluded',
  },
  {
    title: 'of a path that was cut, a glob from the root on is not told to match',
    scenario: 'long-paths',
    set: { 'files.exclude': '["/tmp/**"]' },
    isKept: (span) => span.path.length > PATH_BYTES_MAX,
    counter: 'path_excluded',
  },
  {
    title: 'of a path that was cut, a glob that may begin anywhere matches its tail',
    scenario: 'long-paths',
    set: { 'files.exclude': '["**/f*f"]' },
    isKept: () => false,
    counter: 'path_excluded',
  },
  {
    title: 'files.access: only opens to write are in scope',
    scenario: 'every-open',
    set: { 'files.access': '[write]' },
    isKept: (span) => accessOf(span) === constants.O_WRONLY,
    counter: null,
  },
  {
    title: 'files.access: opens to read, and to read and write, are in scope',
    scenario: 'every-open',
    set: { 'files.access': '[read, read_write]' },
    isKept: (span) => accessOf(span) !== constants.O_WRONLY,
    counter: null,
  },
  {
    title: 'a process whose executable is excluded makes no span, failed opens included',
    scenario: 'failed-opens',
    set: { 'processes.exclude': '["nginx", "work?oad"]' },
    isKept: () => false,
    counter: 'process_excluded',
  },
  {
    title: 'a name is matched as a whole',
    scenario: 'every-open',
    set: { 'processes.exclude': '["work", "orkload", "workloads", "*/workload"]' },
    isKept: () => true,
    counter: 'process_excluded',
  },
  {
    title: 'users that are not listed make no span',
    scenario: 'every-open',
    set: { 'processes.users': '[1-999, 65534]' },
    isKept: () => false,
    counter: 'process_excluded',
  },
  {
    title: 'a user that a range, a number or a name says is traced',
    scenario: 'every-open',
    set: { 'processes.users': '[5-9, root]' },
    isKept: () => true,
    counter: 'process_excluded',
  },
  {
    title: 'shorter pairs than spans.min_duration are dropped at their close',
    scenario: 'every-open',
    set: { 'spans.min_duration': '24h' },
    isKept: () => false,
    counter: 'too_short',
  },
  {
    title: 'a failed open is never too short',
    scenario: 'failed-opens',
    set: { 'spans.min_duration': '24h' },
    isKept: (span) => span.error !== '',
    counter: 'too_short',
  },
  {
    title: 'failed opens are judged by their path before they are told',
    scenario: 'failed-opens',
    set: { 'files.include': '["/nowhere/**"]' },
    isKept: () => false,
    counter: 'path_excluded',
  },
  {
    title: 'failed opens whose errno is not listed are not in scope',
    scenario: 'failed-opens',
    set: { 'spans.failed_opens': '[EMFILE]' },
    isKept: (span) => span.error === '' || span.error === 'EMFILE',
    counter: null,
  },
];

function assertFiltered({ isKept, counter }: FilterCase, result: RunResult): void {
  const { expected } = result.workload;
  const kept = expected.filter(isKept);
  const left = expected.length - kept.length;
  assertSameSpans(kept, result.spans, result);
  const { counters } = result;
  assert.equal(counters.opens_in_scope, counter === null ? kept.length : expected.length);
  for (const name of ['path_excluded', 'process_excluded', 'too_short'])
    assert.equal(counters[name], name === counter ? left : 0, `${name} of ${JSON.stringify(counters)}`);
  assert.equal(counters.pairs_finished, counters.opens_in_scope);
}

for (const one of CASES)
  test(one.title, { skip }, async (t) => {
    const result = await tracedRun({ scenario: one.scenario, count: COUNT, set: one.set });
    if (result.workload.skipped !== null) return t.skip(result.workload.skipped);
    assert.ok(result.workload.expected.length > 0);
    assertFiltered(one, result);
  });

/** Runs a script in the group of a traced run; returns the paths of its spans by the executable's name. */
async function runScript(script: string, set: Readonly<Record<string, string>>): Promise<RunResult> {
  return tracedRun({ scenario: 'burst', count: 1, set }, async ({ group, workload }) => {
    const inside = `set -e\necho $$ > ${group.procsFile}\nexec 2>&1\n${script}`;
    execFileSync('/bin/sh', ['-c', inside], { cwd: workload.directory, stdio: 'pipe' });
    workload.go();
    await workload.finished();
  });
}

function openersOf(spans: readonly SeenSpan[], name: string): unknown[] {
  return spans
    .filter((span) => String(span.attributes['file.path']).endsWith(`/${name}`))
    .map((span) => span.attributes['process.executable.name']);
}

test('of several programs and users only those that are asked for make spans', { skip }, async (t) => {
  const script =
    'echo x > given; cat given; head -c1 given; ' +
    'setpriv --reuid=65534 --clear-groups head -c1 given; setpriv --reuid=65534 --clear-groups tail -c1 given';
  const names = async (set: Readonly<Record<string, string>>): Promise<unknown[]> =>
    openersOf((await runScript(`chmod 755 .; ${script}`, set)).spans, 'given').toSorted();
  await t.test('all', async () => assert.deepEqual(await names({}), ['cat', 'dash', 'head', 'head', 'tail']));
  await t.test('one user', async () =>
    assert.deepEqual(await names({ 'processes.users': '[65534]' }), ['head', 'tail']),
  );
  await t.test('without two programs', async () =>
    assert.deepEqual(await names({ 'processes.exclude': '[head, ca?]' }), ['dash', 'tail']),
  );
});

test('the loader’s files are left out by default, and counted', { skip }, async () => {
  const byDefault = await runScript('head -c1 /etc/passwd', {});
  const all = await runScript('head -c1 /etc/passwd', { 'files.exclude': '[]' });
  const libraries = (result: RunResult): number =>
    result.spans.filter(({ attributes }) =>
      /\.so(\.|$)|\/ld\.so\.cache$/.test(String(attributes['file.path'])),
    ).length;
  assert.equal(libraries(byDefault), 0);
  assert.ok(libraries(all) >= 2);
  assert.equal(all.counters.path_excluded, 0);
  assert.ok(Number(byDefault.counters.path_excluded) >= libraries(all));
  assert.deepEqual(openersOf(byDefault.spans, 'passwd'), ['head']);
});

test('file systems are left out by their magic, and types by their mode', { skip }, async () => {
  const script =
    'ls . > /dev/null; head -c1 /proc/self/status; echo x > /dev/shm/fdspan-$$; rm /dev/shm/fdspan-$$';
  const paths = async (set: Readonly<Record<string, string>>): Promise<string[]> =>
    (await runScript(script, set)).spans.map(({ attributes }) => String(attributes['file.path']));
  const isOf = (kind: RegExp) => (path: string) => kind.test(path);
  const byDefault = await paths({});
  assert.ok(byDefault.some(isOf(/^\/dev\/shm\/fdspan-/)) && !byDefault.some(isOf(/^\/proc\//)));
  const other = await paths({ 'files.exclude_filesystems': '[tmpfs]' });
  assert.ok(!other.some(isOf(/^\/dev\/shm\/fdspan-/)) && other.some(isOf(/^\/proc\/.*status$/)));
  const folders = await paths({ 'files.types': '[directory]' });
  assert.ok(folders.length > 0 && folders.every(isOf(/\/fdspan-workload-\w+$/)), folders.join(' '));
});

test('spans.min_duration keeps what lasted longer', { skip }, async () => {
  const script = 'echo x > long; echo x > short; exec 3< long; sleep 0.8; exec 3<&-; cat short';
  const { spans, counters } = await runScript(script, { 'spans.min_duration': '600ms' });
  assert.deepEqual(openersOf(spans, 'long'), ['dash']);
  assert.deepEqual(openersOf(spans, 'short'), []);
  assert.ok(Number(counters.too_short) >= 4);
});
