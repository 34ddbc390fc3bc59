// Who gets a place where there are few: what came without one is looked for again, nobody takes the places of all
// others, and nothing is kept for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerRegistry } from '../../src/containers/registry.ts';
import type { RegistryOptions } from '../../src/containers/registry-options.ts';
import { compileRules, type ContainerRule } from '../../src/containers/rules.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';

const idOf = (index: number): string => index.toString(16).padStart(64, '0');
const v2 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v2');

function rulesOf(deny: ContainerRule[]) {
  return { rules: compileRules([], deny), extraAttributes: {}, isLabelWanted: () => true };
}

/** Remembers the last verdict of each scope; `gone` for one that was forgotten. */
function registryWith(options: Partial<RegistryOptions> = {}) {
  const verdicts = new Map<number, string>();
  const registry = new ContainerRegistry({
    ...rulesOf([]),
    containersMax: 8,
    keepAfterExitMs: 30_000,
    hostAttributes: {},
    distroVersion: '0.1.0',
    encodeResource: () => new Uint8Array(1),
    bareContainerOf: () => null,
    confirmGuess: () => false,
    listener: {
      container: () => undefined,
      containerGone: () => undefined,
      scope: (scope, verdict) => verdicts.set(Number(scope & 0xffffn), verdict),
      scopeGone: (scope) => verdicts.set(Number(scope & 0xffffn), 'gone'),
      containersFull: () => undefined,
    },
    ...options,
  });
  const found = (id: number, path = `/docker/${idOf(id)}`): string | undefined => {
    registry.scopeFound({ scope: v2(id), path, version: 'v2' });
    return verdicts.get(id);
  };
  return { registry, verdicts, found };
}

test('a container that found no slot is looked for again once one is free, and counted once', () => {
  const { registry, found } = registryWith({ containersMax: 1 });
  assert.equal(found(1), 'trace');
  assert.equal(found(2), 'ignore');
  for (let nowMs = 0; nowMs < 100_000; nowMs += 1000) assert.equal(registry.tick(nowMs).look, false);
  registry.scopeRemoved(v2(1));
  registry.tick(100_000);
  assert.equal(registry.tick(130_000).look, true);
  assert.equal(registry.tick(140_000).look, false, 'once');
  assert.equal(found(2), 'trace');
  assert.equal(registry.counts.containers_full, 1);
});

test('looks for those without a place are 10 s apart, and stop when none is left', () => {
  const { registry, found } = registryWith({ containersMax: 1, keepAfterExitMs: 0 });
  let looks = 0;
  for (let second = 0; second < 60; second += 1) {
    found(100 + second);
    found(2);
    registry.scopeRemoved(v2(100 + second));
    if (registry.tick(second * 1000).look) looks += 1;
  }
  assert.ok(looks >= 5 && looks <= 6, `${looks}`);
  registry.scopeRemoved(v2(2));
  registry.tick(70_000);
  found(3);
  registry.scopeRemoved(v2(3));
  assert.equal(registry.tick(90_000).look, false);
});

test('a container that a reload allows and that finds no slot is looked for again, too', () => {
  const { registry, found, verdicts } = registryWith({ ...rulesOf([{ id: '*2' }]), containersMax: 1 });
  found(1);
  assert.equal(found(2), 'deny');
  registry.reload(rulesOf([]));
  assert.equal(registry.counts.containers_full, 1);
  assert.notEqual(verdicts.get(2), 'trace');
  registry.scopeRemoved(v2(1));
  registry.tick(0);
  assert.equal(registry.tick(30_000).look, true);
  assert.equal(found(2), 'trace');
});

test("one user's groups get a quarter of the slots, are counted, and leave the others theirs", () => {
  const { registry, found } = registryWith();
  const ofUser = (uid: number, id: number): string =>
    `/user.slice/user-${uid}.slice/user@${uid}.service/docker-${idOf(id)}.scope`;
  const told = Array.from({ length: 100 }, (_, index) => found(100 + index, ofUser(1000, index)));
  assert.equal(told.filter((verdict) => verdict === 'trace').length, 2);
  assert.equal(registry.counts.containers_full, 98);
  assert.equal(found(1, ofUser(1001, 1)), 'trace', 'another user');
  for (let id = 2; id <= 6; id += 1) assert.equal(found(id), 'trace', 'the host');
});

test('a container gets a quarter of the slots for those inside of it, however it nests them', () => {
  const { registry, found } = registryWith();
  found(1);
  const told = Array.from({ length: 50 }, (_, index) => {
    const outer = index % 2 === 0 ? '' : `/docker/${idOf(500 + index)}`;
    return found(100 + index, `/docker/${idOf(1)}${outer}/docker/${idOf(100 + index)}`);
  });
  assert.equal(told.filter((verdict) => verdict === 'trace').length, 2);
  assert.equal(registry.counts.containers_full, 48);
});

test("a user's own container that is gone gives its place to that user's next one", () => {
  const { registry, found } = registryWith({ containersMax: 4 });
  const path = (id: number): string =>
    `/user.slice/user-1000.slice/user@1000.service/docker-${idOf(id)}.scope`;
  assert.equal(found(1, path(1)), 'trace');
  assert.equal(found(2, path(2)), 'ignore');
  registry.scopeRemoved(v2(1));
  registry.tick(0);
  registry.tick(1000);
  assert.equal(found(3, path(3)), 'trace');
});

test('one container with groups without end leaves the second groups of others their room', () => {
  const { registry, found } = registryWith();
  found(1);
  const own = Array.from({ length: 1000 }, (_, index) => found(1000 + index, `/docker/${idOf(1)}/${index}`));
  assert.equal(own.filter((verdict) => verdict === 'trace').length, 63, 'half of eight times sixteen');
  for (let id = 2; id <= 5; id += 1) {
    assert.equal(found(id), 'trace');
    assert.equal(found(20 + id, `/docker/${idOf(id)}/container`), 'trace');
  }
  assert.equal(registry.counts.scopes_full, 1000 - 63);
});

test('a group that went before its container found no place is forgotten in its time', async () => {
  const { registry, found, verdicts } = registryWith({
    containersMax: 1,
    findMetadata: () => Promise.resolve(null),
  });
  found(1);
  await registry.settled();
  found(2);
  registry.scopeRemoved(v2(2));
  await registry.settled();
  assert.equal(verdicts.get(2), 'ignore');
  assert.equal(registry.verdictOf(v2(2)), undefined, 'nobody need wait for one');
  registry.tick(0);
  registry.tick(29_999);
  assert.equal(verdicts.get(2), 'ignore', 'records may still come');
  registry.tick(30_000);
  assert.equal(verdicts.get(2), 'gone');
  assert.equal(registry.verdictOf(v2(2)), undefined);
});

test('a namesake that went before it proved none is forgotten in its time', async () => {
  const { registry, verdicts, found } = registryWith({
    findMetadata: () => Promise.resolve(null),
    isContainerdNamed: true,
  });
  found(2, '/shop/web');
  registry.scopeRemoved(v2(2));
  await registry.settled();
  assert.equal(verdicts.get(2), 'ignore');
  registry.tick(0);
  registry.tick(30_000);
  assert.equal(verdicts.get(2), 'gone');
});

test('what proved no container is looked for again when a runtime answers again', async () => {
  const { registry, found } = registryWith({
    findMetadata: () => Promise.resolve(null),
    isContainerdNamed: true,
  });
  found(2, '/shop/web');
  await registry.settled();
  assert.equal(registry.tick(0).look, false);
  registry.sourceIsBack();
  assert.equal(registry.tick(1000).look, true);
});

test('a slot that a denial leaves is looked for, too', () => {
  const { registry, found } = registryWith({ containersMax: 1 });
  found(1);
  assert.equal(found(2), 'ignore');
  registry.reload(rulesOf([{ id: idOf(1) }]));
  assert.equal(registry.tick(0).look, true);
  assert.equal(found(2), 'trace');
});

test('a group that got its place with a container that was judged already is looked for no more', () => {
  const { registry, verdicts, found } = registryWith({ ...rulesOf([{ id: idOf(1) }]), containersMax: 1 });
  for (let id = 1; id <= 17; id += 1) found(id, `/docker/${idOf(1)}${id === 1 ? '' : `/${id}`}`);
  assert.equal(verdicts.get(17), 'ignore', 'no room for its group');
  registry.scopeRemoved(v2(2));
  assert.equal(registry.tick(0).look, false);
  registry.tick(30_000);
  assert.equal(found(17, `/docker/${idOf(1)}/17`), 'deny');
  for (let id = 20; id < 25; id += 1) {
    found(id);
    registry.scopeRemoved(v2(id));
    assert.equal(registry.tick(id * 40_000).look, false);
  }
});

test('what finds no place is denied where all that is ignored is traced as the host', () => {
  const { found, verdicts } = registryWith({ containersMax: 1, noPlaceVerdict: 'deny' });
  assert.equal(found(1), 'trace');
  assert.equal(found(2), 'deny', 'no slot');
  for (let id = 3; id <= 18; id += 1) found(id, `/docker/${idOf(1)}/${id}`);
  assert.equal(verdicts.get(18), 'deny', 'no room for its group');
  assert.equal(found(30, '/system.slice/cron.service'), 'ignore');
});
