// A container that runs again under its name, while the one before is still kept: two containers, each with its own
// verdict, metadata and first process.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerRegistry } from '../../src/containers/registry.ts';
import type { RegistryOptions } from '../../src/containers/registry-options.ts';
import { compileRules, type ContainerRule } from '../../src/containers/rules.ts';
import type { ContainerMetadata } from '../../src/containers/runtimes/runtime-source.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';

const A = 'a1'.repeat(32);
const v2 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v2');
const v1 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v1');
const bare = {
  bareContainerOf: (path: string) => ({
    containerId: path.slice(1),
    runtime: 'runc' as const,
    podUid: null,
    parentId: null,
    depth: 1,
    groupPath: path,
    isOwnGroup: true,
    isGuess: true,
  }),
  bareContainerOfNow: () => null,
};
const ofImage = (image: string): ContainerMetadata => ({
  id: 'web',
  runtimeName: 'runc',
  labels: new Map([['image', image]]),
});
const docker = (name: string): ContainerMetadata => ({ id: A, runtimeName: 'docker', name });

function registryWith(deny: ContainerRule[] = [], options: Partial<RegistryOptions> = {}) {
  const calls: string[] = [];
  const resources: Record<string, unknown>[] = [];
  const asked: ((metadata: ContainerMetadata | null) => void)[] = [];
  const registry = new ContainerRegistry({
    rules: compileRules([], deny),
    extraAttributes: {},
    isLabelWanted: () => true,
    containersMax: 4,
    keepAfterExitMs: 30_000,
    hostAttributes: {},
    distroVersion: '0.1.0',
    encodeResource: (attributes) => {
      resources.push(attributes);
      return new Uint8Array(1);
    },
    findMetadata: () => new Promise((resolve) => asked.push(resolve)),
    bareContainerOf: () => null,
    confirmGuess: () => false,
    listener: {
      container: ({ slot }) => calls.push(`container ${slot}`),
      containerGone: (slot) => calls.push(`containerGone ${slot}`),
      scope: (scope, verdict, slot, own) =>
        calls.push(`scope ${scope & 0xffffn} ${verdict} ${slot} ${own & 0xffffn}`),
      containerReplaced: (slot) => calls.push(`replaced ${slot}`),
      scopeGone: (scope) => calls.push(`scopeGone ${scope & 0xffffn}`),
      containersFull: (max) => calls.push(`full ${max}`),
    },
    ...options,
  });
  return {
    registry,
    resources,
    asked,
    take: () => calls.splice(0),
    found: (id: number, path: string): void => registry.scopeFound({ scope: v2(id), path, version: 'v2' }),
    answer: async (metadata: ContainerMetadata | null): Promise<void> => {
      asked.shift()?.(metadata);
      await registry.settled();
    },
    describe: (id: number, pid: number, startedBootNs: bigint): void =>
      registry.scopeDescribed({
        type: 'described',
        scope: v2(id),
        pid,
        groups: [0n, 0n],
        processStartedBootNs: startedBootNs,
        namespaces: new Uint32Array(7).fill(pid),
        hostname: `host-${pid}`,
      }),
  };
}

test('a restarted container is described by its new first process, and the one before keeps its own', async () => {
  const { registry, found, answer, describe, take, resources } = registryWith();
  found(5, `/docker/${A}`);
  await answer(docker('web'));
  describe(5, 100, 1000n);
  registry.scopeRemoved(v2(5));
  registry.tick(0);
  take();
  found(6, `/docker/${A}`);
  await answer(docker('web'));
  assert.deepEqual(take(), ['replaced 1', 'scope 6 unjudged 0 6', 'container 2', 'scope 6 trace 2 6']);
  describe(6, 200, 2000n);
  const told = resources.at(-1)!;
  assert.equal(told['fdspan.ns.mnt'], 200);
  assert.equal(told['fdspan.container.hostname'], 'host-200');
  assert.equal(told['fdspan.cgroup.id'], '6');
  assert.deepEqual(
    registry.list().map(({ pid, slot, isRunning }) => ({ pid, slot, isRunning })),
    [
      { pid: 100, slot: 1, isRunning: false },
      { pid: 200, slot: 2, isRunning: true },
    ],
  );
  take();
  registry.tick(30_000);
  assert.deepEqual(take(), ['scopeGone 5', 'containerGone 1'], 'only the one before is forgotten');
  found(7, `/docker/${A}/inner`);
  assert.deepEqual(take(), ['scope 7 trace 2 6']);
});

test('another container by the same free name is asked about and judged anew, either way', async () => {
  for (const [first, second] of [
    ['public', 'secret'],
    ['secret', 'public'],
  ]) {
    const { registry, found, answer, take } = registryWith([{ label: 'image=secret' }], bare);
    found(5, '/web');
    await answer(ofImage(first));
    registry.scopeRemoved(v2(5));
    registry.tick(0);
    take();
    found(6, '/web');
    await answer(ofImage(second));
    assert.equal(take().at(-1), second === 'secret' ? 'scope 6 deny 0 6' : 'scope 6 trace 1 6');
  }
});

test('groups in two hierarchies and below are one container after a restart, too', async () => {
  const { registry, found, answer, take } = registryWith();
  registry.scopeFound({ scope: v1(4), path: `/docker/${A}`, version: 'v1' });
  found(5, `/docker/${A}`);
  await answer(docker('web'));
  for (const scope of [v1(4), v2(5)]) registry.scopeRemoved(scope);
  take();
  registry.scopeFound({ scope: v1(6), path: `/docker/${A}`, version: 'v1' });
  found(7, `/docker/${A}`);
  found(8, `/docker/${A}/init.scope`);
  await answer(docker('web'));
  assert.deepEqual(take().slice(-3), ['scope 6 trace 2 6', 'scope 7 trace 2 7', 'scope 8 trace 2 7']);
  assert.equal(registry.list().length, 2);
});

test('a new group at the path of one whose removal nobody told is another container', async () => {
  const { found, answer, take, registry } = registryWith();
  found(5, `/docker/${A}`);
  await answer(docker('web'));
  take();
  found(6, `/docker/${A}`);
  await answer(docker('web'));
  assert.equal(take().at(-1), 'scope 6 trace 2 6');
  registry.scopeRemoved(v2(5));
  registry.tick(0);
  registry.tick(30_000);
  assert.deepEqual(take(), ['scopeGone 5', 'containerGone 1']);
  assert.equal(registry.list()[0].isRunning, true);
});

test('a container that was not judged yet when it was made again is judged all the same', async () => {
  const { registry, found, answer, asked, take } = registryWith();
  found(5, `/docker/${A}`);
  registry.scopeRemoved(v2(5));
  found(6, `/docker/${A}`);
  asked.shift()?.(docker('first'));
  await answer(docker('second'));
  assert.deepEqual(
    take().filter((call) => call.includes('trace')),
    ['scope 5 trace 1 5', 'scope 6 trace 2 6'],
  );
});

test("a runtime's news are of the container that runs, not of the one before", async () => {
  const { registry, found, answer } = registryWith();
  found(5, `/docker/${A}`);
  await answer(docker('old'));
  registry.scopeRemoved(v2(5));
  found(6, `/docker/${A}`);
  await answer(docker('new'));
  registry.metadataChanged(docker('renamed'));
  assert.deepEqual(
    registry.list().map(({ name }) => name),
    ['old', 'renamed'],
  );
});

test('containers that restart without end hold no more slots than there are', async () => {
  const { registry, found, answer, take } = registryWith();
  for (let run = 0; run < 20; run += 1) {
    found(10 + run, `/docker/${A}`);
    await answer(docker('loop'));
    assert.match(take().at(-1)!, /trace/);
    registry.scopeRemoved(v2(10 + run));
    registry.tick(run * 1000);
    registry.tick(run * 1000 + 999);
  }
  assert.ok(registry.list().length <= 4);
  assert.equal(registry.counts.containers_full, 0);
});

test('nothing more is told of a container that was made again: neither by a reload nor by a late description', async () => {
  const { registry, found, answer, describe, take } = registryWith();
  found(5, `/docker/${A}`);
  await answer(docker('web'));
  registry.scopeRemoved(v2(5));
  found(6, `/docker/${A}`);
  await answer(docker('web'));
  take();
  describe(5, 100, 1000n);
  registry.reload({ rules: compileRules([], []), extraAttributes: {}, isLabelWanted: () => true });
  assert.deepEqual(take(), ['container 2']);
});

test('what is told of a free id after it was given again is not said of the container before', async () => {
  const { found, asked, registry, take, resources } = registryWith([], bare);
  found(5, '/web');
  registry.scopeRemoved(v2(5));
  found(6, '/web');
  take();
  asked[0](ofImage('second'));
  await new Promise(setImmediate);
  assert.deepEqual(take(), ['container 1', 'scope 5 trace 1 5']);
  assert.doesNotMatch(JSON.stringify(resources[0]), /second/);
});
