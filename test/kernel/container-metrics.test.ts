// What is counted for each container, against what its processes did: by the workload's own totals and clock.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { NOTHING_WANTED } from '../../src/bpf/live-filters.ts';
import { LOAD_ONLY } from '../../src/bpf/probe.ts';
import { Tracer } from '../../src/bpf/tracer.ts';
import { COUNTS, type CountedContainer } from '../../src/model/container-counts.ts';
import {
  EARLY_METRICS,
  VERDICT_DENY,
  VERDICT_SLOT_SHIFT,
  VERDICT_TRACE,
  VERDICT_UNJUDGED,
} from '../../src/model/record-layout.ts';
import { TracedContainers } from '../../src/traced-containers.ts';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { startEngineLookalike } from '../helpers/engine-lookalike.ts';
import { CUMULATIVE, httpBackend, type Backend, type Point } from '../helpers/metrics-backend.ts';
import { startWorkload, type Workload, type WorkloadOptions } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const DEADLINE_MS = 20_000;
const INTERVAL_MS = 200;

interface Scene {
  readonly backend: Backend;
  readonly collector: Collector;
}

type Groups = readonly ContainerGroup[];

function makeGroups(t: TestContext, count: number): Groups {
  const groups = Array.from({ length: count }, () => makeContainerGroup());
  for (const group of groups) t.after(() => group.remove());
  return groups;
}

async function collect(
  t: TestContext,
  groups: Groups,
  set: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  const backend = await httpBackend();
  t.after(() => backend.close());
  const collector = await startCollector({
    endpoint: backend.endpoint,
    protocol: 'http/protobuf',
    containerIds: groups.map(({ id }) => id),
    set: { 'telemetry.metrics.containers': 'true', ...set },
    prefix: ['env', `OTEL_METRIC_EXPORT_INTERVAL=${INTERVAL_MS}`],
  });
  t.after(() => collector.kill());
  return { backend, collector };
}

async function startIn(
  t: TestContext,
  group: ContainerGroup,
  options: Omit<WorkloadOptions, 'procsFiles'>,
): Promise<Workload> {
  const workload = await startWorkload({ ...options, procsFiles: [group.procsFile] });
  t.after(() => workload.end());
  return workload;
}

async function runIn(t: TestContext, group: ContainerGroup, scenario: string, count: number) {
  const workload = await startIn(t, group, { scenario, count });
  workload.go();
  return workload.finished();
}

/** The last points of a container's metric that have arrived. */
function pointsOf({ backend }: Scene, { id }: ContainerGroup, name: string): readonly Point[] {
  const own = backend.metrics.filter(({ resource }) => resource['container.id'] === id);
  return (own.at(-1)?.points ?? []).filter((point) => point.name === name);
}

function byAttribute(points: readonly Point[], key: string): Record<string, number> {
  return Object.fromEntries(points.map(({ attributes, value }) => [attributes[key], value]));
}

async function until(isTrue: () => boolean, what: () => string): Promise<void> {
  const deadlineMs = Date.now() + DEADLINE_MS;
  while (!isTrue()) {
    assert.ok(Date.now() < deadlineMs, what());
    await sleep(10);
  }
}

/** Asserts what the scenario `counted-opens` says of itself. */
function assertCounted(
  scene: Scene,
  group: ContainerGroup,
  { lines }: Awaited<ReturnType<Workload['finished']>>,
): void {
  const { opens, failures, lasted } = lines.find((line) => 'opens' in line) as any;
  assert.deepEqual(byAttribute(pointsOf(scene, group, 'fdspan.file.opens'), 'fdspan.access'), opens);
  assert.deepEqual(byAttribute(pointsOf(scene, group, 'fdspan.file.open.failures'), 'error.type'), failures);
  const [duration] = pointsOf(scene, group, 'fdspan.file.open.duration');
  const closes = Object.values(opens as Record<string, number>).reduce((sum, value) => sum + value);
  assert.equal(
    duration.bucketCounts.reduce((sum, value) => sum + value),
    closes,
  );
  const [least, most] = lasted.map((ns: string) => Number(ns) / 1e9);
  assert.ok(duration.value >= least && duration.value <= most, `${least} ≤ ${duration.value} ≤ ${most}`);
  assert.deepEqual(
    pointsOf(scene, group, 'fdspan.files.open').map(({ value }) => value),
    [0],
  );
}

test(
  'opens by access, failures by errno and time from open to close are what each container did',
  { skip },
  async (t) => {
    const groups = makeGroups(t, 2);
    const scene = await collect(t, groups, {});
    const results = [
      await runIn(t, groups[0], 'counted-opens', 101),
      await runIn(t, groups[1], 'counted-opens', 7),
    ];
    const { counters } = await scene.collector.stop();
    groups.forEach((group, index) => assertCounted(scene, group, results[index]));
    assert.equal(counters.metrics_missed, 0);
    const kinds = scene.backend.metrics
      .at(-1)!
      .points.map(({ name, kind, unit, isMonotonic, temporality }) =>
        [name, kind, unit, isMonotonic, temporality].join(' '),
      );
    assert.deepEqual(
      new Set(kinds),
      new Set([
        `fdspan.file.opens sum {open} true ${CUMULATIVE}`,
        `fdspan.file.open.failures sum {open} true ${CUMULATIVE}`,
        `fdspan.files.open sum {file} false ${CUMULATIVE}`,
        `fdspan.file.open.duration histogram s false ${CUMULATIVE}`,
      ]),
    );
  },
);

test('each duration is in its bucket, by the clock readings around the calls', { skip }, async (t) => {
  const [group] = makeGroups(t, 1);
  const scene = await collect(t, [group]);
  const { expected } = await runIn(t, group, 'seccomp-refused', 17);
  const more = await runIn(t, group, 'plain-closes', 301);
  await scene.collector.stop();
  const [{ bounds, bucketCounts }] = pointsOf(scene, group, 'fdspan.file.open.duration');
  const spans = [...expected, ...more.expected].filter(({ error }) => error === '');
  let counted = 0;
  bounds.forEach((bound, index) => {
    counted += bucketCounts[index];
    const least = spans.filter((span) => span.closedBootNs[1] !== 0n && secondsOf(span, 'most') <= bound);
    const most = spans.filter((span) => secondsOf(span, 'least') <= bound);
    assert.ok(
      counted >= least.length && counted <= most.length,
      `up to ${bound} s: ${least.length} ≤ ${counted} ≤ ${most.length}`,
    );
  });
});

function secondsOf({ openedBootNs, closedBootNs }: any, which: 'least' | 'most'): number {
  const ns = which === 'least' ? closedBootNs[0] - openedBootNs[1] : closedBootNs[1] - openedBootNs[0];
  return Number(ns) / 1e9;
}

test(
  'files.open is what a container holds open now, those from before the start too',
  { skip },
  async (t) => {
    const groups = makeGroups(t, 2);
    const adopted = await startIn(t, groups[1], { scenario: 'adopted', count: 37 });
    const scene = await collect(t, groups);
    const holder = await startIn(t, groups[0], { scenario: 'hold', count: 5003 });
    holder.go();
    await holder.line('holding');
    const open = (group: ContainerGroup) => pointsOf(scene, group, 'fdspan.files.open')[0]?.value;
    await until(
      () => open(groups[0]) === 5003 && open(groups[1]) === 37,
      () => `5003 and 37 are open: ${open(groups[0])} ${open(groups[1])}`,
    );
    holder.go();
    adopted.go();
    await holder.finished();
    await adopted.finished();
    await scene.collector.stop();
    assert.deepEqual([open(groups[0]), open(groups[1])], [0, 0]);
    assert.deepEqual(pointsOf(scene, groups[1], 'fdspan.file.opens'), [], 'adopted ones are no opens');
    const [duration] = pointsOf(scene, groups[1], 'fdspan.file.open.duration');
    assert.equal(
      duration.bucketCounts.reduce((sum, value) => sum + value),
      0,
      'and their duration is not known',
    );
  },
);

test(
  'what a container did before its verdict is counted, and what a denied one did is not',
  { skip },
  async (t) => {
    const engine = await startEngineLookalike();
    t.after(() => engine.close());
    const [traced, denied] = makeGroups(t, 2);
    engine.containers.set(traced.id, { name: 'wanted' });
    engine.containers.set(denied.id, { name: 'other' });
    engine.delayMs = 700;
    // Their runtime is asked for their names: each waits for its verdict while it runs.
    const late = makeGroups(t, 2);
    const scene = await collect(t, [], {
      'containers.allow': '[{name: wanted}]',
      'containers.runtimes': JSON.stringify({ docker: engine.socketPath }),
      'limits.metadata_wait': '3s',
      'containers.keep_after_exit': '5s',
    });
    engine.containers.set(late[0].id, { name: 'wanted' });
    engine.containers.set(late[1].id, { name: 'other' });
    const results = await Promise.all(
      [traced, denied, ...late].map((group) => runIn(t, group, 'counted-opens', 23)),
    );
    const isSent = (group: ContainerGroup): boolean => pointsOf(scene, group, 'fdspan.file.opens').length > 0;
    await until(
      () => isSent(traced) && isSent(late[0]),
      () => 'the containers are judged and sent',
    );
    const { counters } = await scene.collector.stop();
    assertCounted(scene, traced, results[0]);
    assertCounted(scene, late[0], results[2]);
    for (const group of [denied, late[1]])
      assert.equal(
        scene.backend.metrics.filter(({ resource }) => resource['container.id'] === group.id).length,
        0,
      );
    assert.equal(counters.metrics_missed, 0);
  },
);

test('a container that ends between two turns is sent with its last numbers', { skip }, async (t) => {
  const [short, other] = makeGroups(t, 2);
  const scene = await collect(t, [short, other], { 'containers.keep_after_exit': '0s' });
  const result = await runIn(t, short, 'counted-opens', 11);
  await short.remove();
  await runIn(t, other, 'counted-opens', 3);
  await scene.collector.stop();
  assertCounted(scene, short, result);
});

/** The kernel side without the collector: slots and verdicts are the test's to choose. */
async function loadCounting(t: TestContext): Promise<{ tracer: Tracer; traced: TracedContainers }> {
  const tracer = await Tracer.open({
    ...LOAD_ONLY,
    openFilesMax: 1024,
    pidMax: 4_194_304,
    filters: { ...NOTHING_WANTED, fileTypes: [8] },
    isRuntimePhaseTraced: true,
    metrics: { slotsMax: 3, durationBoundsNs: [1n], failureErrnos: [constants.errno.ENOENT] },
  });
  t.after(() => tracer.close());
  tracer.attachCalls();
  return { tracer, traced: new TracedContainers(tracer.containerCounts, null) };
}

function scopeOf({ folder }: ContainerGroup): bigint {
  return statSync(folder, { bigint: true }).ino;
}

/** Of struct container_metrics in bpf/record.h: opens to read, and failures by ENOENT. */
function readsAndMissing({ attributes, counts }: CountedContainer): readonly [unknown, number, number] {
  return [attributes.id, counts[0], counts[8 + 1]];
}

test('the next container of a slot begins at 0', { skip }, async (t) => {
  const { tracer, traced } = await loadCounting(t);
  const groups = makeGroups(t, 2);
  const runAs = async (index: number, count: number): Promise<void> => {
    const scope = scopeOf(groups[index]);
    traced.changed(1, { id: index });
    tracer.judge(scope, scope, VERDICT_TRACE | (1 << VERDICT_SLOT_SHIFT), false);
    traced.judged(scope, 'trace', 1);
    await runIn(t, groups[index], 'counted-opens', count);
  };
  await runAs(0, 29);
  assert.deepEqual((await traced.look()).map(readsAndMissing), [[0, 3 * 29, 5 * 29]]);
  tracer.forget(scopeOf(groups[0]));
  traced.gone(1);
  await runAs(1, 5);
  assert.deepEqual((await traced.look()).map(readsAndMissing), [
    [0, 3 * 29, 5 * 29],
    [1, 3 * 5, 5 * 5],
  ]);
  assert.deepEqual((await traced.look()).map(readsAndMissing), [[1, 3 * 5, 5 * 5]], 'once');
  tracer.detach();
});

test(
  'what is counted without a verdict is added once it is old enough, or forgotten',
  { skip },
  async (t) => {
    const { tracer, traced } = await loadCounting(t);
    const groups = makeGroups(t, 3);
    const scopes = groups.map(scopeOf);
    for (const scope of scopes) tracer.judge(scope, scope, VERDICT_UNJUDGED, false);
    for (const [index, group] of groups.entries()) await runIn(t, group, 'counted-opens', index + 1);
    const early = (): ReadonlySet<bigint> => new Set(tracer.containerCounts!.earlyScopes());
    assert.deepEqual(early(), new Set(scopes));
    traced.changed(1, { id: 'judged' });
    tracer.judge(scopes[0], scopes[0], VERDICT_TRACE | (1 << VERDICT_SLOT_SHIFT), false);
    traced.judged(scopes[0], 'trace', 1);
    tracer.judge(scopes[1], scopes[1], VERDICT_DENY, false);
    traced.judged(scopes[1], 'deny');
    await runIn(t, groups[0], 'counted-opens', 10);
    assert.deepEqual((await traced.look()).map(readsAndMissing), [['judged', 3 * 10, 5 * 10]]);
    traced.tick();
    assert.equal(early().size, 3, 'a program may count there still');
    traced.tick();
    assert.deepEqual(early(), new Set([scopes[2]]));
    assert.deepEqual((await traced.look()).map(readsAndMissing), [['judged', 3 * 11, 5 * 11]]);
    for (let second = 0; second < 118; second += 1) traced.tick();
    assert.deepEqual(early(), new Set([scopes[2]]), 'its runtime may be asked still');
    for (let second = 0; second < 3; second += 1) traced.tick();
    assert.deepEqual(early(), new Set(), 'nobody judges it');
    tracer.detach();
  },
);

test(
  'a container that goes soon after its verdict has what was counted before it once',
  { skip },
  async (t) => {
    const { tracer, traced } = await loadCounting(t);
    const [group] = makeGroups(t, 1);
    const scope = scopeOf(group);
    tracer.judge(scope, scope, VERDICT_UNJUDGED, false);
    await runIn(t, group, 'counted-opens', 7);
    traced.changed(1, { id: 'short' });
    tracer.judge(scope, scope, VERDICT_TRACE | (1 << VERDICT_SLOT_SHIFT), false);
    traced.judged(scope, 'trace', 1);
    // The counts are taken at the second tick; the entry is there for two more.
    for (let second = 0; second < 2; second += 1) traced.tick();
    traced.gone(1);
    assert.deepEqual((await traced.look()).map(readsAndMissing), [['short', 3 * 7, 5 * 7]]);
    tracer.detach();
  },
);

test('a place whose counts were taken is counted in no more until it is free', { skip }, async (t) => {
  const { tracer } = await loadCounting(t);
  const counts = tracer.containerCounts!;
  const [group] = makeGroups(t, 1);
  const scope = scopeOf(group);
  tracer.judge(scope, scope, VERDICT_UNJUDGED, false);
  const taken = new Float64Array(COUNTS);
  await runIn(t, group, 'counted-opens', 3);
  counts.takeEarly(scope, taken);
  assert.deepEqual(counts.earlyScopes(), []);
  const missed = (): number => tracer.counters.read()['metrics_missed'];
  assert.equal(missed(), 0);
  await runIn(t, group, 'counted-opens', 7);
  assert.ok(missed() >= 3 * 7 + 5 * 7, `${missed()} opens, failures and ends of them`);
  counts.removeTaken();
  assert.deepEqual(counts.earlyScopes(), [], 'a program may be about to count there');
  counts.removeTaken();
  assert.deepEqual([taken[0], taken[8 + 1]], [3 * 3, 5 * 3]);
  await runIn(t, group, 'counted-opens', 11);
  assert.deepEqual(counts.earlyScopes(), [scope]);
  const next = new Float64Array(COUNTS);
  counts.takeEarly(scope, next);
  assert.deepEqual([next[0], next[8 + 1]], [3 * 11, 5 * 11]);
  tracer.detach();
});

test(
  'more scopes without a verdict than there are places are counted as metrics_missed',
  { skip },
  async (t) => {
    const { tracer } = await loadCounting(t);
    const [group] = makeGroups(t, 1);
    const scope = scopeOf(group);
    // Scopes that no group has: the group's container is another one at each step.
    const containers = Array.from({ length: EARLY_METRICS + 1 }, (_, index) => BigInt(index + 1) << 40n);
    const workload = await startIn(t, group, { scenario: 'steps', count: containers.length });
    for (const [index, container] of containers.entries()) {
      tracer.judge(container, container, VERDICT_UNJUDGED, false);
      tracer.judge(scope, container, VERDICT_UNJUDGED, false);
      workload.go();
      await workload.line(`step-${index + 1}`);
    }
    await workload.finished();
    assert.equal(tracer.containerCounts!.earlyScopes().length, EARLY_METRICS);
    assert.equal(tracer.counters.read()['metrics_missed'], 2, 'an open and its end');
    tracer.detach();
  },
);

test('a group inside a container counts for the container', { skip }, async (t) => {
  const [group] = makeGroups(t, 1);
  const scene = await collect(t, [group]);
  const result = await runIn(t, group.nest('inner'), 'counted-opens', 2);
  await scene.collector.stop();
  assertCounted(scene, group, result);
});

test('what belongs to no container is counted for the host, when the host is traced', { skip }, async (t) => {
  const [group] = makeGroups(t, 1);
  const scene = await collect(t, [group], { 'scope.host': 'true', 'files.include': '["**/counted-0"]' });
  const plain = makeContainerGroup('v2', false);
  t.after(() => plain.remove());
  const { lines } = await runIn(t, plain, 'counted-opens', 1009);
  await scene.collector.stop();
  const own = scene.backend.metrics.filter(({ resource }) => resource['container.id'] === undefined);
  const { points, resource } = own.at(-1)!;
  assert.ok(resource['host.name'].length > 0);
  const { opens, failures } = lines.find((line) => 'opens' in line) as any;
  const named = (wanted: string): Point[] => points.filter(({ name }) => name === wanted);
  assert.deepEqual(byAttribute(named('fdspan.file.opens'), 'fdspan.access'), opens);
  // The host fails at other things too; the errno that seccomp makes up is the workload's.
  const counted = byAttribute(named('fdspan.file.open.failures'), 'error.type');
  for (const name of ['EISDIR', '_OTHER'])
    assert.ok(counted[name] >= failures[name], JSON.stringify({ counted, failures }));
});

test('opens that a path filter leaves out are not counted, and failures are', { skip }, async (t) => {
  const [group] = makeGroups(t, 1);
  const scene = await collect(t, [group], { 'files.exclude': '["**/counted-0"]' });
  const { lines } = await runIn(t, group, 'counted-opens', 3);
  await runIn(t, group, 'plain-closes', 5);
  await scene.collector.stop();
  const { failures } = lines.find((line) => 'opens' in line) as any;
  const opens = byAttribute(pointsOf(scene, group, 'fdspan.file.opens'), 'fdspan.access');
  assert.equal(
    Object.values(opens).reduce((sum, value) => sum + value),
    2 * 5,
    'two descriptors a file',
  );
  assert.deepEqual(byAttribute(pointsOf(scene, group, 'fdspan.file.open.failures'), 'error.type'), failures);
});
