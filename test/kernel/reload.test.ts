// SIGHUP and `fdspan containers`, on a running collector: rules change for containers that run, nothing else does.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { runToExit, startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const OPENS = 31;
const DEADLINE_MS = 10_000;

interface Row {
  readonly id: string;
  readonly verdict: string;
  readonly rule: string | null;
  readonly spans: number;
}

interface Bench {
  readonly collector: Collector;
  readonly ids: readonly string[];
  readonly groups: readonly ContainerGroup[];
  readonly file: string;
  readonly rows: () => Promise<readonly Row[]>;
  /** Opens and closes OPENS files in each container. */
  readonly open: () => Promise<void>;
  /** Spans of a container, of the files that `open` opens unless another part of their path is given. */
  readonly spansOf: (id: string, part?: string) => number;
  /** Paths of the spans that ended so. */
  readonly pathsBy: (reason: string) => string[];
  readonly socket: string;
}

async function startBench(t: TestContext, textOf: (ids: readonly string[]) => string): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-reload-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const groups = [makeContainerGroup(), makeContainerGroup()];
  for (const group of groups) t.after(() => group.remove());
  const ids = groups.map(({ id }) => id);
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const file = join(folder, 'fdspan.yaml');
  writeFileSync(file, textOf(ids));
  const socket = join(folder, 'control.sock');
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: null,
    configFile: file,
    set: { 'control.socket': socket, 'limits.metadata_wait': '0' },
  });
  t.after(() => collector.kill());
  const rows = async (): Promise<readonly Row[]> => {
    const { stdout, exitCode, stderr } = await runToExit(['containers', '--json', '--socket', socket]);
    assert.equal(exitCode, 0, stderr);
    return (JSON.parse(stdout) as Row[]).filter(({ id }) => ids.includes(id));
  };
  const open = async (): Promise<void> => {
    for (const { procsFile } of groups) {
      const workload = await startWorkload({ scenario: 'burst', count: OPENS, procsFiles: [procsFile] });
      workload.go();
      await workload.finished();
      await workload.end();
    }
  };
  const spansOf = (id: string, part = '/burst-'): number =>
    receiver.spans.filter(
      ({ span, resource }) =>
        resource.attributes['container.id'] === id && (span.attributes['file.path'] as string).includes(part),
    ).length;
  const pathsBy = (reason: string): string[] =>
    receiver.spans
      .filter(({ span }) => span.attributes['fdspan.close.reason'] === reason)
      .map(({ span }) => span.attributes['file.path'] as string);
  return { collector, ids, groups, file, rows, open, spansOf, pathsBy, socket };
}

/** Resolves when the collector has said it once more than `before`. */
async function said(collector: Collector, msg: string, count: number): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (collector.logs.filter((line) => line.msg === msg).length < count) {
    assert.ok(performance.now() < deadlineMs, `no ${msg}: ${JSON.stringify(collector.logs)}`);
    await delay(10);
  }
}

/** Resolves when the collector has judged these containers, and traces them. */
async function untilTraced(rows: Bench['rows'], ids: readonly string[]): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await rows();
    if (found.filter(({ id, verdict }) => ids.includes(id) && verdict === 'trace').length === ids.length)
      return;
    assert.ok(performance.now() < deadlineMs, `they aren't traced: ${JSON.stringify(found)}`);
    await delay(50);
  }
}

const onlyFirst = ([first]: readonly string[]): string => `containers:\n  allow: [{id: ${first}}]\n`;
const onlySecond = ([, second]: readonly string[]): string => `containers:\n  allow: [{id: ${second}}]\n`;

test('SIGHUP changes which running containers are traced, both ways', { skip }, async (t) => {
  const { collector, ids, file, rows, open, spansOf } = await startBench(t, onlyFirst);
  await open();
  assert.deepEqual(
    new Map((await rows()).map(({ id, verdict }) => [id, verdict])),
    new Map([
      [ids[0], 'trace'],
      [ids[1], 'deny'],
    ]),
  );
  writeFileSync(file, onlySecond(ids));
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'configuration reloaded', 1);
  const after = new Map((await rows()).map((row) => [row.id, row]));
  assert.equal(after.get(ids[0])?.verdict, 'deny');
  assert.equal(after.get(ids[1])?.verdict, 'trace');
  assert.equal(after.get(ids[1])?.rule, 'allow[0]');
  await open();
  await collector.stop();
  assert.deepEqual(
    ids.map((id) => spansOf(id)),
    [OPENS, OPENS],
    'each was traced while it was allowed, and only then',
  );
});

test('a process that ran before it was allowed is traced from the reload on', { skip }, async (t) => {
  const { collector, ids, file, groups, spansOf } = await startBench(t, onlyFirst);
  const workload = await startWorkload({
    scenario: 'burst',
    count: OPENS,
    procsFiles: [groups[1].procsFile],
  });
  t.after(() => workload.end());
  writeFileSync(file, onlySecond(ids));
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'configuration reloaded', 1);
  workload.go();
  await workload.finished();
  await collector.stop();
  assert.equal(spansOf(ids[1]), OPENS);
});

test(
  'a file that was opened while its container was allowed is a span, though a reload denied it before its end',
  {
    skip,
  },
  async (t) => {
    const { collector, ids, file, groups, rows, open, spansOf } = await startBench(t, onlyFirst);
    await open();
    const verdictOf = async (id: string): Promise<string | undefined> =>
      (await rows()).find((row) => row.id === id)?.verdict;
    await untilTraced(rows, ids.slice(0, 1));
    const workload = await startWorkload({
      scenario: 'hold',
      count: OPENS,
      procsFiles: [groups[0].procsFile],
    });
    t.after(() => workload.end());
    workload.go();
    await workload.line('holding');
    writeFileSync(file, onlySecond(ids));
    process.kill(collector.pid, 'SIGHUP');
    await said(collector, 'configuration reloaded', 1);
    workload.go();
    await workload.finished();
    await open();
    assert.equal(await verdictOf(ids[0]), 'deny');
    const { counters } = await collector.stop();
    assert.deepEqual(
      ids.map((id) => [spansOf(id, '/held-'), spansOf(id)]),
      [
        [OPENS, OPENS],
        [0, OPENS],
      ],
      JSON.stringify(counters),
    );
  },
);

test('containers tells how many spans each container made', { skip }, async (t) => {
  const { collector, ids, rows, open } = await startBench(
    t,
    ([a, b]) => `containers:\n  allow: [{id: ${a}}, {id: ${b}}]\n`,
  );
  await open();
  await open();
  const deadlineMs = performance.now() + DEADLINE_MS;
  let found = await rows();
  while (found.some(({ spans }) => spans < 2 * OPENS) && performance.now() < deadlineMs) found = await rows();
  assert.deepEqual(
    found.map(({ spans }) => spans >= 2 * OPENS),
    [true, true],
    JSON.stringify(found),
  );
  assert.deepEqual(found.map(({ id }) => id).toSorted(), ids.toSorted());
  await collector.stop();
});

test('a configuration that is wrong is refused whole, and the old one stays', { skip }, async (t) => {
  const { collector, ids, file, rows, open, spansOf } = await startBench(t, onlyFirst);
  writeFileSync(file, `containers:\n  allow: []\n  dney: [{id: x}]\n`);
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'the new configuration is refused, the old one stays', 1);
  const refusal = collector.logs.find(({ level }) => level === 'error');
  assert.match(String(refusal?.error), /fdspan\.yaml:3: .*dney/);
  assert.equal((await rows()).find(({ id }) => id === ids[1])?.verdict, 'deny');
  writeFileSync(file, `${onlyFirst(ids)}limits: {open_files: 1024}\n`);
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'some changes of the configuration need a restart', 1);
  await open();
  await collector.stop();
  assert.deepEqual(
    ids.map((id) => spansOf(id)),
    [OPENS, 0],
  );
});

test('SIGHUP changes sampling between two opens: what is open keeps its decision', { skip }, async (t) => {
  const textOf = (ratio: number, ids: readonly string[]): string =>
    `containers: {allow: [{id: ${ids[0]}}, {id: ${ids[1]}}]}\n` +
    `sampling: {ratio: ${ratio}, keep: [], rules: [{container: {id: ${ids[1]}}, ratio: ${1 - ratio}}]}\n`;
  const { collector, ids, file, groups, rows, open, spansOf } = await startBench(t, (all) => textOf(1, all));
  // A container is judged once its first process is known: until then the pump draws, when the file has ended.
  await open();
  await untilTraced(rows, ids);
  const workloads = await Promise.all(
    groups.map(({ procsFile }) => startWorkload({ scenario: 'hold', count: OPENS, procsFiles: [procsFile] })),
  );
  for (const workload of workloads) {
    t.after(() => workload.end());
    workload.go();
    await workload.line('holding');
  }
  writeFileSync(file, textOf(0, ids));
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'configuration reloaded', 1);
  for (const workload of workloads) {
    workload.go();
    await workload.finished();
  }
  await open();
  const { counters } = await collector.stop();
  assert.deepEqual(
    ids.map((id) => [spansOf(id, '/held-'), spansOf(id)]),
    [
      [OPENS, OPENS],
      [0, OPENS],
    ],
    `by the ratio at their open, of the container without a rule and of the one with it: ${JSON.stringify(counters)}`,
  );
});

test('SIGHUP changes which open files are reported, and what is hidden of paths', { skip }, async (t) => {
  const textOf = (rest: string, [first]: readonly string[]): string =>
    `containers: {allow: [{id: ${first}}]}\n${rest}`;
  const { collector, ids, file, groups, pathsBy, spansOf, socket } = await startBench(t, (all) =>
    textOf('spans: {held: {after: 0}}\n', all),
  );
  const workload = await startWorkload({ scenario: 'hold', count: OPENS, procsFiles: [groups[0].procsFile] });
  t.after(() => workload.end());
  workload.go();
  await workload.line('holding');
  const hidden = 'spans: {held: {after: 100ms, every: 0}}\nfiles: {redact: ["**/held-*"]}\n';
  writeFileSync(file, textOf(hidden, ids));
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'configuration reloaded', 1);
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (pathsBy('held').length < OPENS && performance.now() < deadlineMs) await delay(20);
  const masked = Array.from({ length: OPENS }, () => '…redacted');
  assert.deepEqual(pathsBy('held'), masked);
  const { stdout } = await runToExit(['open', '--json', '--socket', socket]);
  const rows = stdout.match(/"path":"[^"]*"/g) ?? [];
  assert.deepEqual(
    rows,
    masked.map((path) => `"path":"${path}"`),
  );
  writeFileSync(file, textOf('spans: {held: {after: 0}}\n', ids));
  process.kill(collector.pid, 'SIGHUP');
  await said(collector, 'configuration reloaded', 2);
  workload.go();
  await workload.finished();
  await collector.stop();
  assert.equal(spansOf(ids[0], '/held-'), OPENS);
  assert.equal(pathsBy('held').length, OPENS, 'no further report');
  assert.deepEqual(
    collector.logs.filter(({ level }) => level === 'warn'),
    [],
    'nothing needed a restart',
  );
});
