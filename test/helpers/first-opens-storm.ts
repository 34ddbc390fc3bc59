// The two storms of short containers with what must hold after them; test/e2e runs them small, test/storm large.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { startCollector, type Counters } from './collector-process.ts';
import { startEngineLookalike } from './engine-lookalike.ts';
import { makeBareLauncher, makeGroupLauncher } from './first-opens.ts';
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';
import type { OciRuntime } from './oci-runtime.ts';

export interface StormSize {
  readonly oneByOne: number;
  readonly atOnce: number;
}

/** Containers of runc or crun; each fourth is denied by its id. */
export async function runBareStorm(
  t: TestContext,
  runtime: OciRuntime,
  { oneByOne, atOnce }: StormSize,
  isRuntimePhaseTraced: boolean,
): Promise<void> {
  const launcher = await makeBareLauncher(runtime);
  t.after(() => launcher.remove());
  const run = randomBytes(4).toString('hex');
  const idOf = (index: number): string => `${index % 4 === 3 ? 'deny' : 'shop'}-${run}-${index}`;
  const ids = Array.from({ length: oneByOne + atOnce }, (_, index) => idOf(index));
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: [`*-${run}-*`],
    set: {
      'containers.deny': JSON.stringify([{ id: `deny-${run}-*` }]),
      'containers.runtime_phase': String(isRuntimePhaseTraced),
    },
  });
  t.after(() => collector.kill());
  await launcher.run(ids.slice(0, oneByOne), 1);
  await launcher.run(ids.slice(oneByOne), atOnce);
  const { counters } = await collector.stop();
  assertNothingLost(counters, receiver);
  const spansOf = spansByContainer(receiver);
  for (const id of ids) {
    const spans = spansOf(id);
    const ofContainer = spans.filter(({ span }) => span.attributes['fdspan.phase'] === 'container');
    if (id.startsWith('deny')) assert.deepEqual(spans, [], id);
    else
      assert.deepEqual(pathsOf(ofContainer), launcher.pathsOf(id), `${id}, of ${JSON.stringify(counters)}`);
    for (const { resource } of spans) assert.equal(resource.attributes['container.runtime.name'], runtime);
    const ofRuntime = spans.length - ofContainer.length;
    if (!isRuntimePhaseTraced) assert.equal(ofRuntime, 0, `${id}: the runtime's own opens`);
    else if (!id.startsWith('deny'))
      assert.ok(ofRuntime > 0, `${id}: the runtime opens files before it executes`);
  }
  const expected = new Set(ids);
  assert.ok(
    receiver.spans.every(({ resource }) => expected.has(textOf(resource.attributes['container.id']))),
  );
}

/**
 * Groups as docker's, and an engine that knows each container's name when its group is made, and of each fifth nothing.
 * Each fourth is denied by its name.
 */
export async function runGroupStorm(
  t: TestContext,
  { oneByOne, atOnce }: StormSize,
  isRuntimePhaseTraced = false,
): Promise<void> {
  const launcher = await makeGroupLauncher();
  t.after(() => launcher.remove());
  const engine = await startEngineLookalike();
  t.after(() => engine.close());
  const ids = Array.from({ length: oneByOne + atOnce }, () => randomBytes(32).toString('hex'));
  const nameOf = (index: number): string => `${index % 4 === 3 ? 'secret' : 'shop'}-${index}`;
  const isKnown = (index: number): boolean => index % 5 !== 4;
  ids.forEach((id, index) => isKnown(index) && engine.containers.set(id, { name: nameOf(index) }));
  const unknown = ids.filter((_, index) => !isKnown(index));
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: [],
    set: {
      'containers.allow': JSON.stringify([{ name: 'shop-*' }, ...unknown.map((id) => ({ id }))]),
      'containers.deny': '[{name: "secret-*"}]',
      'containers.runtimes': JSON.stringify({ docker: engine.socketPath }),
      'containers.runtime_phase': String(isRuntimePhaseTraced),
    },
  });
  t.after(() => collector.kill());
  await engine.followed();
  await launcher.run(ids.slice(0, oneByOne), 1);
  await launcher.run(ids.slice(oneByOne), atOnce);
  const { counters } = await collector.stop();
  assertNothingLost(counters, receiver);
  const spansOf = spansByContainer(receiver);
  ids.forEach((id, index) => {
    const spans = spansOf(id);
    if (isKnown(index) && index % 4 === 3)
      return assert.deepEqual(pathsOf(spans), [], `${nameOf(index)} is denied`);
    const runtimePaths = isRuntimePhaseTraced ? [launcher.runtimePathOf(id)] : [];
    const ofRuntime = spans.filter(({ span }) => span.attributes['fdspan.phase'] === 'runtime');
    assert.deepEqual(pathsOf(ofRuntime), runtimePaths, id);
    assert.deepEqual(pathsOf(spans), [...launcher.pathsOf(id), ...runtimePaths], id);
    for (const { resource } of spans) {
      assert.equal(resource.attributes['container.name'], isKnown(index) ? nameOf(index) : undefined);
    }
  });
}

function assertNothingLost(counters: Counters, receiver: OtlpReceiver): void {
  const losses = [
    'ring_full',
    'open_table_full',
    'unjudged_overflow',
    'containers_full',
    'scopes_full',
    'queue_full',
  ];
  for (const name of [...losses, 'scope_table_full', 'scope_records_lost'])
    assert.equal(counters[name], 0, name);
  assert.equal(counters.spans_accepted, receiver.spans.length);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function spansByContainer(receiver: OtlpReceiver): (id: string) => ReceivedSpan[] {
  const byId = Map.groupBy(receiver.spans, ({ resource }) => textOf(resource.attributes['container.id']));
  return (id) => byId.get(id) ?? [];
}

/** Sorted: requests that are on their way together may arrive in any order. */
function pathsOf(spans: readonly ReceivedSpan[]): string[] {
  return spans.map(({ span }) => textOf(span.attributes['file.path'])).sort();
}
