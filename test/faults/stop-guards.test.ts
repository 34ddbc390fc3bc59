// Nothing that hangs holds a stop: not the pump, not the disk, not the backend.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findHierarchy, makeContainerGroup } from '../helpers/cgroup.ts';
import { checkLaw, startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { startReceiver, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { mountExt4, mountSilent, whyNoPrivateDisk } from '../helpers/private-disk.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? whyNoPrivateDisk() ?? false;
const FILES = 20;

interface Run {
  readonly collector: Collector;
  readonly receiver: OtlpReceiver;
}

/** A collector that has made spans of {@link FILES} files, which the backend doesn't answer. */
async function start(t: TestContext, set: Readonly<Record<string, string>>): Promise<Run> {
  const receiver = await startReceiver({ protocol: 'grpc', otherwise: { type: 'hang' } });
  t.after(() => receiver.close());
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: FILES / 2,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  const collector = await startCollector({ endpoint: receiver.endpoint, containerIds: [group.id], set });
  t.after(() => collector.kill());
  workload.go();
  await workload.finished();
  return { collector, receiver };
}

/** Stops one thread of a process for good, by a threaded control group (cgroups.rst, "Threads"). */
async function freezePump(t: TestContext, pid: number): Promise<void> {
  const group = join(findHierarchy('v2')!, `fdspan-test-frozen-${pid}`);
  const inner = join(group, 'pump');
  mkdirSync(inner, { recursive: true });
  t.after(async () => {
    for (const folder of [inner, group]) await removeGroup(folder);
  });
  writeFileSync(join(group, 'cgroup.procs'), String(pid));
  writeFileSync(join(inner, 'cgroup.type'), 'threaded');
  const tasks = `/proc/${pid}/task`;
  const pumps = readdirSync(tasks).filter(
    (tid) => readFileSync(join(tasks, tid, 'comm'), 'utf8').trim() === 'WorkerThread',
  );
  assert.equal(pumps.length, 1);
  writeFileSync(join(inner, 'cgroup.threads'), pumps[0]);
  writeFileSync(join(inner, 'cgroup.freeze'), '1');
  while (!/frozen 1/.test(readFileSync(join(inner, 'cgroup.events'), 'utf8'))) await delay(5);
}

async function removeGroup(folder: string): Promise<void> {
  for (;;) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await delay(10);
    }
  }
}

test('a stop that waits for a pump that hangs is given up with exit code 70', { skip }, async (t) => {
  const set = { 'limits.stop_deadline': '0', 'limits.metadata_wait': '0' };
  const { collector, receiver } = await start(t, set);
  await receiver.waitFor(({ requests }) => requests.length > 0);
  await freezePump(t, collector.pid);
  process.kill(collector.pid, 'SIGTERM');
  const { exitCode, counters } = await collector.ended();
  assert.equal(exitCode, 70);
  assert.ok(collector.logs.some(({ msg }) => msg === 'the stop hangs and is given up'));
  assert.equal(counters?.shutdown, FILES);
});

test(
  'a second signal ends a stop that waits for the backend, and what was not sent is counted',
  { skip },
  async (t) => {
    const { collector, receiver } = await start(t, { 'limits.stop_deadline': '1h', 'export.timeout': '1h' });
    await receiver.waitFor(({ requests }) => requests.length > 0);
    const isSecond = (): boolean =>
      collector.logs.some(({ msg }) => String(msg).startsWith('told a second time'));
    const ended = collector.ended();
    while (!isSecond()) {
      process.kill(collector.pid, 'SIGTERM');
      await delay(20);
    }
    const { exitCode, counters } = await ended;
    assert.equal(exitCode, 0);
    assert.equal(counters?.shutdown, FILES);
    checkLaw(counters);
  },
);

test('a disk that never answers holds neither the start nor the stop', { skip }, async (t) => {
  const disk = await mountSilent(t);
  const set = { 'export.spool.dir': `${disk.path}/spool`, 'limits.stop_deadline': '100ms' };
  const { collector } = await start(t, set);
  assert.ok(collector.logs.some(({ reason }) => /no answer from the disk/.test(String(reason))));
  process.kill(collector.pid, 'SIGTERM');
  const { exitCode, counters } = await collector.ended();
  assert.equal(exitCode, 0);
  assert.equal(counters?.shutdown, FILES);
  checkLaw(counters);
});

test('a disk that hangs at the stop does not hold the summary', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const set = { 'export.spool.dir': `${disk.path}/spool`, 'limits.stop_deadline': '100ms' };
  const { collector } = await start(t, set);
  await disk.run('fsfreeze --freeze "$disk"');
  process.kill(collector.pid, 'SIGTERM');
  while (collector.logs.at(-1)?.msg !== 'summary') await delay(10);
  // The kernel ends no call to a frozen file system, and no process that is in one.
  await disk.run('fsfreeze --unfreeze "$disk"');
  const { exitCode, counters } = await collector.ended();
  assert.equal(exitCode, 0);
  assert.equal(counters?.shutdown, FILES);
  checkLaw(counters);
});

test('a refused start ends, although the disk of the spool hangs', { skip }, async (t) => {
  const disk = await mountSilent(t);
  const fdspan = fileURLToPath(new URL('../../bin/fdspan', import.meta.url));
  // Without any capability: exit code 77. A run that hangs is killed: 137.
  const bare = 'setpriv --bounding-set=-all --inh-caps=-all';
  const said = await disk.run(
    `timeout -s KILL 40 ${bare} ${fdspan} run --set export.spool.dir="$disk/spool" </dev/null; echo "exit code $?"`,
  );
  assert.match(said, /exit code 77/);
});
