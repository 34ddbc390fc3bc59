// Groups of the host: what is opened in a new one before fdspan knows that it is no container's, and many of them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;

/** Opened by the shell that joins the group, by the program that it becomes, and by that one until its end. */
const JOINING = 'joining';
const EXECUTED = ['first', 'second'];
const LATE = 'late';
/** More than the 7,696 places that the pump's table has for so few containers. Others of this machine need some of them. */
const GROUPS = 8000;
const CONTAINERS_MAX = 200;
const FILES = 23;

interface Service {
  readonly folder: string;
  readonly receiver: OtlpReceiver;
  readonly collector: Collector;
  /** Lets it end, which closes what it holds. */
  readonly end: () => Promise<unknown>;
}

/** A service begins in a new group while the collector stands still: it opens all that it does before a verdict. */
async function startServiceUnjudged(t: TestContext, set: Readonly<Record<string, string>>): Promise<Service> {
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-host-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of [JOINING, ...EXECUTED, LATE]) writeFileSync(join(folder, name), '');
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: null,
    set: { 'files.include': JSON.stringify([`${folder}/**`]), 'files.exclude': '[]', ...set },
  });
  t.after(() => collector.kill());
  process.kill(collector.pid, 'SIGSTOP');
  const group = makeContainerGroup('v2', false);
  t.after(() => group.remove());
  const opened = EXECUTED.map((name) => `: < ${name}`).join('; ');
  const service = `${opened}; exec 3< ${LATE}; echo opened; read end`;
  const script = `echo $$ > ${group.procsFile}; : < ${JOINING}; exec /bin/sh -c '${service}'`;
  const shell = spawn('/bin/sh', ['-c', script], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  const exited = once(shell, 'exit');
  await once(shell.stdout, 'data');
  process.kill(collector.pid, 'SIGCONT');
  const end = (): Promise<unknown> => {
    shell.stdin.end('end\n');
    return exited;
  };
  return { folder, receiver, collector, end };
}

test(
  "with scope.host, what a service opens before its group is judged makes the host's spans, from the first file on",
  { skip },
  async (t) => {
    const { folder, receiver, collector, end } = await startServiceUnjudged(t, { 'scope.host': 'true' });
    const early = [JOINING, ...EXECUTED].map((name) => join(folder, name));
    await receiver.waitFor(({ spans }) => early.every((path) => spans.some((span) => pathOf(span) === path)));
    // The verdict was told by now: the close of a file that was opened before it is asked about once more.
    await end();
    const { counters } = await collector.stop();
    assert.deepEqual(
      receiver.spans.map((span) => pathOf(span)).sort(),
      [...early, join(folder, LATE)].sort(),
    );
    for (const { resource } of receiver.spans) assert.equal(resource.attributes['container.id'], undefined);
    assert.deepEqual([counters.container_denied, counters.unjudged_overflow], [0, 0]);
  },
);

test(
  'without scope.host, what a service opens before its group is judged is denied, also what is open at the stop',
  { skip },
  async (t) => {
    const { receiver, collector, end } = await startServiceUnjudged(t, {});
    const { counters } = await collector.stop();
    await end();
    assert.equal(receiver.spans.length, 0);
    assert.equal(counters.container_denied, EXECUTED.length + 1, 'what was executed there opened them');
    assert.equal(counters.unjudged_overflow, 0);
  },
);

test(
  `${GROUPS} empty groups of the host, with room for ${CONTAINERS_MAX} containers, take no place from a container`,
  { skip },
  async (t) => {
    const receiver = await startReceiver({ protocol: 'http/protobuf' });
    t.after(() => receiver.close());
    const [parent, container] = [makeContainerGroup('v2', false), makeContainerGroup()];
    const groups = Array.from({ length: GROUPS }, (_, index) => join(parent.folder, `empty-${index}`));
    t.after(() => groups.forEach((group) => rmdirSync(group)));
    for (const group of [parent, container]) t.after(() => group.remove());
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      protocol: 'http/protobuf',
      containerIds: [container.id],
      set: { 'limits.containers': String(CONTAINERS_MAX) },
    });
    t.after(() => collector.kill());
    for (const group of groups) mkdirSync(group);
    await openFiles(t, container.procsFile);
    await openFiles(t, container.nest('late.scope').procsFile);
    const { counters } = await collector.stop();
    const full = ['containers_full', 'scopes_full', 'scope_table_full'];
    for (const name of [...full, 'unjudged_overflow', 'scope_records_lost'])
      assert.equal(counters[name], 0, name);
    assert.equal(receiver.spans.length, 2 * 2 * FILES, 'two descriptors a file');
  },
);

function pathOf({ span }: ReceivedSpan): string {
  return span.attributes['file.path'] as string;
}

async function openFiles(t: TestContext, procsFile: string): Promise<void> {
  const workload = await startWorkload({ scenario: 'plain-closes', count: FILES, procsFiles: [procsFile] });
  t.after(() => workload.end());
  workload.go();
  await workload.finished();
}
