// Containers that were judged too early: while all slots were taken, and while their runtime hung. A running collector
// makes up for both.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { runToExit, startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startEngineLookalike } from '../helpers/engine-lookalike.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const OPENS = 31;
/** More than others may have on this machine meanwhile. */
const SLOTS = 32;
/** Reason: a look follows within 10 s of a free slot, a question within 10 s of a runtime's come-back. */
const DEADLINE_MS = 40_000;

interface Row {
  readonly id: string;
  readonly name: string | null;
  readonly verdict: string;
}

async function controlSocket(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-second-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'control.sock');
}

async function rowsOf(socket: string): Promise<readonly Row[]> {
  const { stdout, exitCode, stderr } = await runToExit(['containers', '--json', '--socket', socket]);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as Row[];
}

/** Resolves with what is told of these containers, once so many of them have the verdict. */
async function untilJudged(
  socket: string,
  ids: readonly string[],
  { verdict, count }: { readonly verdict: string; readonly count: number },
): Promise<readonly Row[]> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const rows = (await rowsOf(socket)).filter(({ id }) => ids.includes(id));
    const judged = rows.filter((row) => row.verdict === verdict);
    if (judged.length === count) return judged;
    assert.ok(performance.now() < deadlineMs, `${judged.length} are ${verdict}: ${JSON.stringify(rows)}`);
    await delay(50);
  }
}

test(
  'a container that found no slot is traced once one is free, and was counted once',
  { skip },
  async (t) => {
    const groups = Array.from({ length: SLOTS + 1 }, () => makeContainerGroup());
    for (const group of groups) t.after(() => group.remove());
    const receiver = await startReceiver({ protocol: 'http/protobuf' });
    t.after(() => receiver.close());
    const socket = await controlSocket(t);
    const ids = groups.map(({ id }) => id);
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      protocol: 'http/protobuf',
      containerIds: ids,
      set: {
        'control.socket': socket,
        'limits.containers': String(SLOTS),
        'limits.metadata_wait': '0',
        'containers.keep_after_exit': '1s',
      },
    });
    t.after(() => collector.kill());
    const traced = await untilJudged(socket, ids, { verdict: 'trace', count: SLOTS });
    const late = groups.find(({ id }) => traced.every((row) => row.id !== id))!;
    const workload = await startWorkload({ scenario: 'burst', count: OPENS, procsFiles: [late.procsFile] });
    t.after(() => workload.end());
    await groups.find(({ id }) => id === traced[0].id)!.remove();
    await untilJudged(socket, [late.id], { verdict: 'trace', count: 1 });
    workload.go();
    await workload.finished();
    const { counters } = await collector.stop();
    const spans = receiver.spans.filter(({ resource }) => resource.attributes['container.id'] === late.id);
    assert.equal(
      spans.filter(({ span }) => (span.attributes['file.path'] as string).includes('/burst-')).length,
      OPENS,
    );
    assert.equal(counters.containers_full, 1);
  },
);

test('a container whose runtime hung is denied by its name when that answers again', { skip }, async (t) => {
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const engine = await startEngineLookalike();
  t.after(() => engine.close());
  engine.containers.set(group.id, { name: 'secret' });
  engine.behaviour = 'hang';
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const socket = await controlSocket(t);
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: [group.id],
    set: {
      'control.socket': socket,
      'limits.metadata_wait': '100ms',
      'containers.deny': '[{name: secret}]',
      'containers.runtimes': JSON.stringify({ docker: engine.socketPath }),
    },
  });
  t.after(() => collector.kill());
  const [early] = await untilJudged(socket, [group.id], { verdict: 'trace', count: 1 });
  assert.equal(early.name, null);
  engine.behaviour = 'answer';
  const [late] = await untilJudged(socket, [group.id], { verdict: 'deny', count: 1 });
  assert.equal(late.name, 'secret');
  await collector.stop();
});
