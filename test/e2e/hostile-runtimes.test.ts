// Runtimes that lie, break off or never answer, and containers that choose what is told of them: spans go on, in bounded
// time and memory, and nothing reaches a terminal or a log as it was chosen.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeContainerGroup, makeUsersGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { startEngineLookalike, type EngineLookalike } from '../helpers/engine-lookalike.ts';
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const program = join(import.meta.dirname, '../../bin/fdspan');
const METADATA_WAIT_MS = 500;
const FILES = 7;
/** Has no account: nothing of this machine's is in such a user's groups. */
const USER = 61_234;
/** Two descriptors a file. */
const SPANS = 2 * FILES;
/** Reason: an answer has 4 MiB at most, and 16 questions are asked at once. */
const GROWTH_BYTES_MAX = 256 << 20;

interface Scene {
  readonly engine: EngineLookalike;
  readonly receiver: OtlpReceiver;
  readonly groups: readonly ContainerGroup[];
  readonly collector: Collector;
  readonly controlSocket: string;
}

async function setScene(
  t: TestContext,
  count: number,
  prepare: (scene: Omit<Scene, 'collector' | 'controlSocket'>) => void,
) {
  const engine = await startEngineLookalike();
  t.after(() => engine.close());
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const groups = Array.from({ length: count }, () => makeContainerGroup());
  for (const group of groups) t.after(() => group.remove());
  prepare({ engine, receiver, groups });
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-hostile-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const controlSocket = join(folder, 'control.sock');
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: groups.map(({ id }) => id),
    set: {
      'containers.runtimes': JSON.stringify({ docker: engine.socketPath }),
      'containers.labels': '["*"]',
      'limits.metadata_wait': `${METADATA_WAIT_MS}ms`,
      'control.socket': controlSocket,
    },
  });
  t.after(() => collector.kill());
  return { engine, receiver, groups, collector, controlSocket };
}

async function openFiles(t: TestContext, group: Pick<ContainerGroup, 'procsFile'>): Promise<void> {
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: FILES,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  workload.go();
  await workload.finished();
}

function spansOf({ receiver }: Scene, { id }: ContainerGroup): ReceivedSpan[] {
  return receiver.spans.filter(({ resource }) => resource.attributes['container.id'] === id);
}

function rssBytes({ pid }: Collector, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
}

for (const behaviour of ['hang', 'garbage', 'half', 'endless', 'close'] as const) {
  test(
    `an engine that does this: ${behaviour}, delays spans by limits.metadata_wait at most`,
    { skip },
    async (t) => {
      const scene = await setScene(t, 5, ({ engine }) => (engine.behaviour = behaviour));
      const { collector, receiver, groups } = scene;
      const rssAtStart = rssBytes(collector, 'VmRSS');
      const late = makeContainerGroup();
      t.after(() => late.remove());
      for (const group of groups) await openFiles(t, group);
      const beganMs = performance.now();
      await receiver.waitFor(() => receiver.spanCount >= SPANS * groups.length);
      assert.ok(performance.now() - beganMs < METADATA_WAIT_MS + 2_000, 'sealed within 0.2 s of the verdict');
      const growth = rssBytes(collector, 'VmHWM') - rssAtStart;
      assert.ok(growth < GROWTH_BYTES_MAX, `${growth} bytes more`);
      const { counters, otherText, logs } = await collector.stop();
      assert.equal(otherText, '');
      for (const group of groups) {
        const spans = spansOf(scene, group);
        assert.equal(spans.length, SPANS);
        assert.equal(spans[0].resource.attributes['container.name'], undefined);
      }
      assert.equal(counters.unjudged_overflow, 0);
      const told = logs.filter(({ msg }) => msg === "a container runtime doesn't answer");
      assert.ok(told.length <= 3, `told ${told.length} times`);
      assert.ok(!JSON.stringify(logs).includes('\u001b'));
    },
  );
}

test(
  "groups that a user and another container called by a container's id have spans, and none of its names",
  { skip },
  async (t) => {
    const copies: Pick<ContainerGroup, 'path' | 'procsFile'>[] = [];
    const scene = await setScene(t, 2, ({ engine, groups: [real, outer] }) => {
      engine.containers.set(real.id, { name: 'billing', labels: { team: 'payments' } });
      engine.containers.set(outer.id, { name: 'tenant' });
      const users = makeUsersGroup(USER, real.id);
      t.after(() => users.remove());
      copies.push(users, outer.nest(`docker-${real.id}.scope`));
    });
    const [real, outer] = scene.groups;
    await Promise.all([...copies, real, outer].map((group) => openFiles(t, group)));
    const { counters } = await scene.collector.stop();
    const namesIn = (path: string): Set<unknown> => {
      const spans = scene.receiver.spans.filter(
        ({ resource }) => resource.attributes['fdspan.cgroup.path'] === path,
      );
      assert.equal(spans.length, SPANS, path);
      return new Set(
        spans.flatMap(({ resource: { attributes } }) =>
          ['container.name', 'container.label.team', 'service.name', 'container.image.name'].map(
            (key) => attributes[key],
          ),
        ),
      );
    };
    assert.deepEqual(namesIn(real.path), new Set(['billing', 'payments', 'shop']));
    assert.deepEqual(namesIn(outer.path), new Set(['tenant', undefined, 'shop']));
    for (const { path } of copies)
      assert.deepEqual(namesIn(path), new Set([undefined, real.id.slice(0, 12)]));
    assert.equal(counters.unjudged_overflow, 0);
  },
);

test(
  'ten thousand labels arrive within the bounds of a resource, and what is left out is counted',
  { skip },
  async (t) => {
    const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`l${index}`, 'x']));
    const scene = await setScene(t, 1, ({ engine, groups: [group] }) =>
      engine.containers.set(group.id, { name: 'labelled', labels }),
    );
    const [group] = scene.groups;
    await openFiles(t, group);
    const { counters } = await scene.collector.stop();
    const spans = spansOf(scene, group);
    assert.equal(spans.length, SPANS);
    const { attributes, droppedAttributesCount } = spans[0].resource;
    assert.equal(attributes['container.name'], 'labelled');
    assert.equal(attributes['container.label.l0'], 'x');
    const sent = Object.keys(attributes).filter((key) => key.startsWith('container.label.'));
    assert.ok(sent.length > 500, `${sent.length} labels`);
    assert.equal(droppedAttributesCount, 10_000 - sent.length, 'every label that is not there');
    assert.equal(attributes['host.name'], hostname(), 'labels push nothing else out');
    assert.ok(counters.bytes_encoded < counters.requests_sealed * (32 << 10) + SPANS * 1024);
  },
);

test(
  'names with escapes, newlines and bytes that are no UTF-8 stay out of terminal and log',
  { skip },
  async (t) => {
    const name = 'evil\u001b[2J\u001b]0;owned\u0007\nnext\r\u009b31m\u202e\ufffd\u0000';
    const scene = await setScene(t, 1, ({ engine, groups: [group] }) =>
      engine.containers.set(group.id, { name, labels: { ['k\u001b[1m']: 'v\n\u001b[0m' } }),
    );
    const [group] = scene.groups;
    const tail = spawn(program, ['tail', '--socket', scene.controlSocket], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => tail.kill('SIGKILL'));
    let shown = Buffer.alloc(0);
    tail.stdout.on('data', (bytes: Buffer) => (shown = Buffer.concat([shown, bytes])));
    await openFiles(t, group);
    await scene.receiver.waitFor(({ spanCount }) => spanCount >= SPANS);
    const { logs, otherText } = await scene.collector.stop();
    assert.equal(spansOf(scene, group).length, SPANS);
    assert.equal(otherText, '');
    assert.ok(!JSON.stringify(logs).includes('\\u001b['));
    const text = shown.toString('latin1');
    assert.match(text, /evil/);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f]/);
  },
);
