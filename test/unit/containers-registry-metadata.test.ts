// The registry with runtimes to ask: what is told of a container before, while and after its runtime answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerPath } from '../../src/containers/cgroup-path.ts';
import { isBeingMade } from '../../src/containers/bare-containers.ts';
import { ContainerRegistry } from '../../src/containers/registry.ts';
import type { RegistryOptions } from '../../src/containers/registry-options.ts';
import { compileRules, type ContainerRule } from '../../src/containers/rules.ts';
import {
  boundLabels,
  LABEL_BYTES_MAX,
  type ContainerMetadata,
} from '../../src/containers/runtimes/runtime-source.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';

const A = 'a1'.repeat(32);
const B = 'b2'.repeat(32);
const v2 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v2');

interface Asked {
  readonly id: string;
  readonly runtime: string;
  readonly isThere: () => boolean;
  readonly answer: (metadata: ContainerMetadata | null) => void;
}

function rulesOf(allow: ContainerRule[], deny: ContainerRule[]) {
  return { rules: compileRules(allow, deny), extraAttributes: {}, isLabelWanted: () => true };
}

function registryWith(options: Partial<RegistryOptions> = {}) {
  const calls: string[] = [];
  const resources: Record<string, unknown>[] = [];
  const dropped: number[] = [];
  const asked: Asked[] = [];
  const registry = new ContainerRegistry({
    ...rulesOf([], []),
    containersMax: 2,
    keepAfterExitMs: 10_000,
    hostAttributes: {},
    distroVersion: '0.1.0',
    encodeResource: (attributes, droppedCount) => {
      resources.push(attributes);
      dropped.push(droppedCount);
      return new Uint8Array(1);
    },
    findMetadata: ({ id }, runtime, isThere) =>
      new Promise((resolve) => asked.push({ id, runtime, isThere, answer: resolve })),
    bareContainerOf: () => null,
    confirmGuess: () => false,
    listener: {
      container: ({ slot }) => calls.push(`container ${slot}`),
      containerGone: (slot) => calls.push(`containerGone ${slot}`),
      scope: (scope, verdict, slot) => calls.push(`scope ${scope & 0xffffn} ${verdict} ${slot}`),
      scopeGone: (scope) => calls.push(`scopeGone ${scope & 0xffffn}`),
      containersFull: (max) => calls.push(`full ${max}`),
    },
    ...options,
  });
  const found = (id: number, path: string): void =>
    registry.scopeFound({ scope: v2(id), path, version: 'v2' });
  const answer = async (metadata: ContainerMetadata | null): Promise<void> => {
    asked.shift()?.answer(metadata);
    await registry.settled();
  };
  return { registry, resources, dropped, asked, found, answer, take: () => calls.splice(0) };
}

const named = (name: string, id = A): ContainerMetadata => ({ id, runtimeName: 'docker', name });

test('a container is unjudged until its runtime answers, then traced with what it told', async () => {
  const { found, answer, take, asked, resources } = registryWith();
  found(5, `/docker/${A}`);
  assert.deepEqual(take(), ['scope 5 unjudged 0']);
  assert.deepEqual([asked[0].id, asked[0].runtime], [A, 'docker']);
  found(6, `/docker/${A}/inner`);
  assert.deepEqual(take(), ['scope 6 unjudged 0'], 'asked once for all groups of a container');
  assert.equal(asked.length, 1);
  await answer(named('web'));
  assert.deepEqual(take(), ['container 1', 'scope 5 trace 1', 'scope 6 trace 1']);
  assert.equal(resources[0]['container.name'], 'web');
});

test('a container that nobody knows is traced by its id', async () => {
  const { found, answer, take, resources } = registryWith();
  found(5, `/docker/${A}`);
  await answer(null);
  assert.deepEqual(take(), ['scope 5 unjudged 0', 'container 1', 'scope 5 trace 1']);
  assert.equal(resources[0]['container.id'], A);
  assert.equal(resources[0]['container.name'], undefined);
});

const metadata: ContainerMetadata = {
  id: A,
  runtimeName: 'docker',
  name: 'secret-1',
  imageName: 'vault',
  imageTags: ['1.2'],
  labels: new Map([['team', 'keys']]),
  pod: { name: 'vault-0', namespace: 'security', uid: 'u', containerName: 'vault' },
};
for (const rule of [
  { name: 'secret-*' },
  { image: 'vault' },
  { image: 'vault:1.*' },
  { label: 'team=k*' },
  { namespace: 'secur*' },
  { pod: 'vault-?' },
  { runtime: 'docker' },
  { name: 'secret-*', namespace: 'security' },
] satisfies ContainerRule[]) {
  test(`a rule that denies ${JSON.stringify(rule)} decides by what the runtime told`, async () => {
    const { found, answer, take, registry } = registryWith(rulesOf([], [rule]));
    found(5, `/docker/${A}`);
    await answer(metadata);
    assert.deepEqual(take(), ['scope 5 unjudged 0', 'scope 5 deny 0']);
    assert.equal(registry.list()[0].rule, 'deny[0]');
  });
}

test('what is said of another container denies nothing', async () => {
  const { found, answer, take } = registryWith(rulesOf([], [{ name: 'secret-*', namespace: 'other' }]));
  found(5, `/docker/${A}`);
  await answer(metadata);
  assert.deepEqual(take().at(-1), 'scope 5 trace 1');
});

test('a container that went while its runtime was asked is still judged, and its slot freed later', async () => {
  const { found, answer, take, registry, asked } = registryWith();
  found(5, `/docker/${A}`);
  assert.equal(asked[0].isThere(), true);
  registry.scopeRemoved(v2(5));
  assert.equal(asked[0].isThere(), false);
  await answer(named('short'));
  assert.deepEqual(take(), ['scope 5 unjudged 0', 'container 1', 'scope 5 trace 1']);
  registry.tick(0);
  registry.tick(10_000);
  assert.deepEqual(take(), ['scopeGone 5', 'containerGone 1']);
});

test('an answer for a container that was forgotten meanwhile does nothing', async () => {
  const { found, answer, take, registry } = registryWith({ keepAfterExitMs: 0 });
  found(5, `/docker/${A}`);
  registry.scopeRemoved(v2(5));
  registry.tick(0);
  take();
  await answer(named('late'));
  assert.deepEqual(take(), []);
  assert.deepEqual(registry.list(), []);
});

function bare(runtime: 'runc' | 'runsc', groupPath: string): ContainerPath {
  const containerId = groupPath.slice(groupPath.lastIndexOf('/') + 1);
  const rest = { podUid: null, parentId: null, depth: 1, isOwnGroup: true };
  return { containerId, runtime, groupPath, isGuess: runtime !== 'runsc', ...rest };
}

test("a bare runtime's container is traced when its runtime knows it", async () => {
  const { found, answer, take, asked } = registryWith({ bareContainerOf: (path) => bare('runc', path) });
  found(5, '/web');
  assert.equal(asked[0].runtime, 'runc');
  await answer({ id: 'web', runtimeName: 'runc', name: 'web' });
  assert.deepEqual(take(), ['scope 5 unjudged 0', 'container 1', 'scope 5 trace 1']);
});

test('a group of the host that has the name of a state folder is ignored, and forgotten', async () => {
  const { found, answer, take, registry } = registryWith({ bareContainerOf: (path) => bare('runc', path) });
  found(5, '/web');
  await answer(null);
  assert.deepEqual(take(), ['scope 5 unjudged 0', 'scope 5 ignore 0']);
  assert.deepEqual(registry.list(), []);
  assert.equal(registry.verdictOf(v2(5)), undefined);
});

test('a container that its runtime still makes is asked about once more when its state is there', async () => {
  let isMade = false;
  const { found, answer, take } = registryWith({
    bareContainerOf: (path) => bare('runc', path),
    bareContainerOfNow: (path) => bare('runc', path),
    isBeingMade: () => !isMade,
  });
  found(5, '/web');
  await answer(null);
  // Written after the runtime was asked, and before its answer came.
  isMade = true;
  await answer(null);
  assert.deepEqual(take(), ['scope 5 unjudged 0'], 'its records wait on');
  await answer({ id: 'web', runtimeName: 'runc', name: 'web' });
  assert.deepEqual(take(), ['container 1', 'scope 5 trace 1']);
});

test('a container that is never made is asked about for some time only', async () => {
  const { found, answer, take, asked } = registryWith({
    bareContainerOf: (path) => bare('runc', path),
    bareContainerOfNow: (path) => bare('runc', path),
    isBeingMade: () => true,
  });
  found(5, '/left');
  for (let asks = 0; asked.length > 0; asks += 1) {
    assert.ok(asks < 100, 'it is asked about for ever');
    await answer(null);
  }
  assert.deepEqual(take(), ['scope 5 unjudged 0', 'scope 5 ignore 0']);
});

test("gVisor's state file is a proof of its own", async () => {
  const { found, answer, take } = registryWith({ bareContainerOf: (path) => bare('runsc', path) });
  found(5, '/web');
  await answer(null);
  assert.deepEqual(take().at(-1), 'scope 5 trace 1');
});

test("a group in containerd's form may be a bare runtime's", async () => {
  const { found, asked } = registryWith({ bareContainerOf: (path) => bare('runc', path) });
  found(5, '/shop/web');
  assert.deepEqual([asked[0].id, asked[0].runtime], ['web', 'runc']);
});

for (const [what, isStateLeft, verdict] of [
  ['its state with it is proven by that', false, 'trace 1'],
  ['left the state of its namesake is a group of the host', true, 'ignore 0'],
] as const) {
  test(`a group that went before its runtime was read, and ${what}`, async () => {
    const { found, answer, take, registry, asked } = registryWith({
      bareContainerOf: (path) => bare('runc', path),
      bareContainerOfNow: (path) => (isStateLeft ? bare('runc', path) : null),
    });
    found(5, '/web');
    registry.scopeRemoved(v2(5));
    assert.equal(asked[0].isThere(), true, 'its state is looked for during the whole wait');
    await answer(null);
    assert.deepEqual(take().at(-1), `scope 5 ${verdict}`);
  });
}

test('news of a judged container show in its resource and leave its verdict', async () => {
  const { found, answer, take, registry, resources } = registryWith(rulesOf([], [{ name: 'secret-*' }]));
  found(5, `/docker/${A}`);
  await answer(named('web'));
  take();
  registry.metadataChanged(named('secret-now'));
  assert.deepEqual(take(), ['container 1']);
  assert.equal(resources.at(-1)?.['container.name'], 'secret-now');
  registry.metadataChanged(named('other', B));
  assert.deepEqual(take(), [], 'nobody has this id');
});

test('the first news of a container that nobody knew judge it', async () => {
  const { found, answer, take, registry } = registryWith(rulesOf([], [{ name: 'secret-*' }]));
  found(5, `/docker/${A}`);
  await answer(null);
  take();
  registry.metadataChanged(named('secret-late'));
  assert.deepEqual(take(), ['scope 5 deny 1'], 'it keeps its slot: what it has open ends later');
});

test('a reload changes the verdicts that the new rules change, and tells the others their resource', async () => {
  const { found, answer, take, registry } = registryWith();
  found(5, `/docker/${A}`);
  await answer(named('web'));
  found(6, `/docker/${B}`);
  await answer(named('secret', B));
  take();
  registry.reload(rulesOf([], [{ name: 'secret' }]));
  assert.deepEqual(take(), ['container 1', 'scope 6 deny 2']);
  registry.reload(rulesOf([], [{ name: 'web' }]));
  assert.deepEqual(take(), ['scope 5 deny 1', 'container 2', 'scope 6 trace 2']);
  registry.reload(rulesOf([], [{ name: 'web' }]));
  assert.deepEqual(take(), ['container 2'], 'the denied one is told nothing');
});

test('a container that is denied by now gives its slot to one that finds none free', async () => {
  const { found, answer, take, registry } = registryWith();
  found(5, `/docker/${A}`);
  await answer(named('web'));
  found(6, `/docker/${B}`);
  await answer(named('secret', B));
  registry.reload(rulesOf([], [{ name: 'secret' }]));
  take();
  found(7, `/docker/${'c3'.repeat(32)}`);
  await answer(named('third', 'c3'.repeat(32)));
  assert.deepEqual(take().slice(1), ['scope 6 deny 0', 'containerGone 2', 'container 2', 'scope 7 trace 2']);
});

test('a container that is gone and allowed by now takes no slot from itself', async () => {
  const { found, answer, take, registry } = registryWith(rulesOf([], [{ name: 'secret' }]));
  const names = ['secret', 'web', 'other'];
  for (const [index, name] of names.entries()) {
    const id = String(index + 1).repeat(64);
    found(5 + index, `/docker/${id}`);
    await answer(named(name, id));
  }
  registry.tick(0);
  registry.scopeRemoved(v2(5));
  registry.scopeRemoved(v2(6));
  registry.tick(1);
  registry.tick(5000);
  take();
  registry.reload(rulesOf([], []));
  assert.ok(registry.list().some(({ id, slot }) => id === '1'.repeat(64) && slot === 1));
  assert.deepEqual(
    registry.list().map(({ id }) => id[0]),
    ['1', '3'],
    'the one that is gone for longest, and had the slot, is forgotten',
  );
});

test('a container that a reload allows gets the slot of one that the same reload denies', async () => {
  const { found, answer, take, registry } = registryWith(rulesOf([], [{ name: 'late' }]));
  const names = ['late', 'web', 'other'];
  for (const [index, name] of names.entries()) {
    const id = String(index + 1).repeat(64);
    found(5 + index, `/docker/${id}`);
    await answer(named(name, id));
  }
  take();
  registry.reload(rulesOf([{ name: 'late' }], []));
  const late = registry.list().find(({ id }) => id === '1'.repeat(64));
  assert.equal(late?.verdict, 'trace', JSON.stringify(take()));
});

test('containers that are denied by now hold their slots where only the table is full', async () => {
  const { found, answer, registry } = registryWith();
  for (const [index, name] of ['a', 'b'].entries()) {
    const id = String(index + 1).repeat(64);
    found(5 + index, `/docker/${id}`);
    await answer(named(name, id));
  }
  registry.reload(rulesOf([], [{ name: '*' }]));
  for (const index of [2, 3, 4, 5]) {
    const id = String(index + 1).repeat(64);
    found(5 + index, `/docker/${id}`);
    await answer(named('c', id));
  }
  const listed = registry.list();
  assert.equal(listed.length, 4, 'twice as many as are traced at most');
  assert.deepEqual(
    listed.filter(({ slot }) => slot > 0).map(({ slot }) => slot),
    [1, 2],
  );
});

test('a second reload while a container is still asked about judges it by what its runtime tells', async () => {
  const { found, answer, take, registry, asked } = registryWith(rulesOf([], [{ id: A }]));
  found(5, `/docker/${A}`);
  assert.deepEqual(take(), ['scope 5 deny 0'], 'denied by its group alone: nobody is asked');
  registry.reload(rulesOf([], []));
  registry.reload(rulesOf([], [{ name: 'secret' }]));
  assert.equal(asked.length, 1, 'it is asked about once');
  assert.deepEqual(take(), [], 'it stays denied until its runtime answers');
  await answer(named('secret'));
  assert.deepEqual(take(), []);
  registry.reload(rulesOf([], []));
  assert.deepEqual(take(), ['container 1', 'scope 5 trace 1']);
});

test('a reload that denies a container by its group does not wait for its runtime', async () => {
  const { found, answer, take, registry } = registryWith(rulesOf([], [{ id: A }]));
  found(5, `/docker/${A}`);
  registry.reload(rulesOf([], []));
  registry.reload(rulesOf([], [{ id: A }]));
  await answer(named('web'));
  assert.deepEqual(take(), ['scope 5 deny 0']);
});

test('labels that found no room are counted as dropped attributes, if they are wanted', async () => {
  const labels = boundLabels({ first: 'x'.repeat(LABEL_BYTES_MAX), 'app.a': '1', 'app.b': '2', other: '3' });
  for (const [wanted, count] of [
    [() => true, 4],
    [(key: string) => key.startsWith('app.'), 2],
    [() => false, 0],
  ] as const) {
    const { found, answer, dropped } = registryWith({ isLabelWanted: wanted });
    found(5, `/docker/${A}`);
    await answer({ ...named('web'), labels });
    assert.deepEqual(dropped, [count]);
  }
});

test('news of a source that knows less replace nothing', async () => {
  const { found, answer, resources, registry } = registryWith();
  const told = (name: string, toldBy: string): ContainerMetadata => ({
    id: A,
    runtimeName: 'containerd',
    name,
    toldBy,
  });
  found(5, `/k8s.io/${A}`);
  await answer(told('by cri', 'cri'));
  registry.metadataChanged(told('by containerd', 'containerd'));
  registry.metadataChanged(told('by state', 'containerd state'));
  assert.equal(resources.at(-1)?.['container.name'], 'by cri');
  registry.metadataChanged(told('by cri again', 'cri'));
  assert.equal(resources.at(-1)?.['container.name'], 'by cri again');
});

test('an unjudged container is judged by the rules of the reload', async () => {
  const { found, answer, take, registry } = registryWith();
  found(5, `/docker/${A}`);
  registry.reload(rulesOf([], [{ name: 'web' }]));
  await answer(named('web'));
  assert.deepEqual(take(), ['scope 5 unjudged 0', 'scope 5 deny 0']);
});

test('without a free slot a container is ignored and counted; one that is gone for a second gives its own', async () => {
  const { found, answer, take, registry } = registryWith({ containersMax: 1 });
  found(5, `/docker/${A}`);
  await answer(named('first'));
  found(6, `/docker/${B}`);
  take();
  await answer(named('second', B));
  assert.deepEqual(take(), ['full 1', 'scope 6 ignore 0']);
  assert.equal(registry.counts.containers_full, 1);
  registry.scopeRemoved(v2(5));
  registry.tick(0);
  registry.tick(999);
  found(7, `/docker/${B}`);
  await answer(named('second', B));
  assert.deepEqual(take(), ['scope 7 unjudged 0', 'scope 7 ignore 0']);
  registry.tick(1000);
  found(8, `/docker/${B}`);
  await answer(named('second', B));
  assert.deepEqual(take(), [
    'scope 8 unjudged 0',
    'scopeGone 5',
    'containerGone 1',
    'container 1',
    'scope 8 trace 1',
  ]);
});

test('of more containers than are kept the others are ignored and counted, however many come', async () => {
  const { found, take, registry } = registryWith();
  for (let index = 0; index < 100; index++)
    found(100 + index, `/docker/${index.toString(16).padStart(64, '0')}`);
  assert.equal(take().filter((call) => call.endsWith('unjudged 0')).length, 4, 'twice containersMax');
  assert.equal(registry.counts.containers_full, 96);
  assert.equal(registry.list().length, 4);
});

test('groups without end below one container are counted, and bounded', async () => {
  const { found, answer, take, registry } = registryWith({ containersMax: 1 });
  found(5, `/docker/${A}`);
  await answer(named('many'));
  for (let index = 0; index < 50; index++) found(100 + index, `/docker/${A}/${index}`);
  assert.equal(take().filter((call) => call.endsWith('trace 1')).length, 16);
  assert.equal(registry.counts.scopes_full, 50 - 15);
});

test('a runtime has written its state when its file is in its folder', () => {
  const withPlaces =
    (...places: string[]) =>
    (place: string): boolean =>
      places.includes(place);
  const container = bare('runc', '/shop/web');
  assert.equal(isBeingMade(container, withPlaces('/run/runc/web')), true);
  assert.equal(isBeingMade(container, withPlaces('/run/runc/web', '/run/runc/web/state.json')), false);
  assert.equal(isBeingMade(container, withPlaces()), false, 'it is gone');
  assert.equal(isBeingMade(bare('runsc', '/web'), withPlaces('/run/runsc/web_sandbox:web.state')), false);
});

test('an event about a container of another namespace with the same id changes nothing of this one', async () => {
  const { found, answer, registry } = registryWith({ confirmGuess: () => true });
  const web = (namespace: string, name: string): ContainerMetadata => ({
    id: 'web',
    runtimeName: 'containerd',
    name,
    groupPath: `/${namespace}/web`,
  });
  found(5, '/prod/web');
  await answer(web('prod', 'shop'));
  found(6, '/test/web');
  await answer(null);
  registry.metadataChanged(web('default', 'stranger'));
  const names = () => registry.list().map(({ cgroupPath, name }) => `${cgroupPath} ${name}`);
  assert.deepEqual(names(), ['/prod/web shop', '/test/web null']);
  registry.metadataChanged(web('prod', 'shop two'));
  registry.metadataChanged(web('test', 'trial'));
  assert.deepEqual(names(), ['/prod/web shop two', '/test/web trial']);
});
