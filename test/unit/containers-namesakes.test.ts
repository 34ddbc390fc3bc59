// Containers of one id: a container with groups of its own may call one of them by the id of another container. What a
// runtime tells of the id goes to one of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerRegistry } from '../../src/containers/registry.ts';
import { compileRules } from '../../src/containers/rules.ts';
import type { ContainerMetadata } from '../../src/containers/runtimes/runtime-source.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';

const ID = 'b2'.repeat(32);
const OUTER = 'c3'.repeat(32);
const OTHER = 'd4'.repeat(32);
const REAL = `/system.slice/docker-${ID}.scope`;
const COPY = `/lxc.payload.tenant/docker-${ID}.scope`;

/** A registry in which every runtime answers with the same about an id, as one that is asked by the id alone does. */
function registryOf(deny: string[] = []) {
  const released: (() => void)[] = [];
  const registry = new ContainerRegistry({
    rules: compileRules(
      [],
      deny.map((name) => ({ name })),
    ),
    extraAttributes: {},
    isLabelWanted: () => true,
    containersMax: 16,
    keepAfterExitMs: 10_000,
    hostAttributes: {},
    distroVersion: '0.1.0',
    encodeResource: () => new Uint8Array(1),
    findMetadata: ({ id }) => new Promise((resolve) => released.push(() => resolve(told(id)))),
    listener: {
      container: () => {},
      containerGone: () => {},
      scope: () => {},
      scopeGone: () => {},
      containersFull: () => {},
    },
  });
  let count = 0;
  const found = (path: string): bigint => {
    const scope = scopeOfCgroup(BigInt(++count), 'v2');
    registry.scopeFound({ scope, path, version: 'v2' });
    return scope;
  };
  const answered = async (): Promise<void> => {
    for (const release of released.splice(0)) release();
    await registry.settled();
  };
  const names = (): Record<string, string | null> =>
    Object.fromEntries(registry.list().map(({ cgroupPath, name }) => [cgroupPath, name]));
  return { registry, found, answered, names };
}

function told(id: string, name = 'billing'): ContainerMetadata {
  return { id, runtimeName: 'docker', name };
}

for (const [what, order] of [
  ['after', [REAL, COPY]],
  ['before', [COPY, REAL]],
] as const) {
  test(`a nested group that has a container's id, made ${what} its own, isn't told of by what is told of the container`, async () => {
    const { registry, found, answered, names } = registryOf();
    for (const path of order) {
      found(path);
      await answered();
    }
    assert.deepEqual(names(), { [REAL]: 'billing', [COPY]: null });
    registry.metadataChanged(told(ID, 'renamed'));
    assert.deepEqual(names(), { [REAL]: 'renamed', [COPY]: null });
  });

  test(`the same where both are asked about at once, with the nested one found ${what} the container`, async () => {
    const { found, answered, names } = registryOf();
    for (const path of order) found(path);
    await answered();
    assert.deepEqual(names(), { [REAL]: 'billing', [COPY]: null });
  });
}

test('a nested group that was denied by the name of another container is judged by its own once that one is known', async () => {
  const { registry, found, answered } = registryOf(['billing']);
  found(COPY);
  await answered();
  const verdicts = () => registry.list().map(({ cgroupPath, verdict }) => `${cgroupPath} ${verdict}`);
  assert.deepEqual(verdicts(), [`${COPY} deny`]);
  found(REAL);
  await answered();
  assert.deepEqual(verdicts(), [`${COPY} trace`, `${REAL} deny`]);
});

test('nested containers of other ids have what their runtimes tell, as those of docker in docker', async () => {
  const { registry, found, answered, names } = registryOf();
  const [outer, inner] = [`/docker/${OUTER}`, `/docker/${OUTER}/docker/${ID}`];
  found(outer);
  found(inner);
  await answered();
  assert.deepEqual(names(), { [outer]: 'billing', [inner]: 'billing' });
  registry.metadataChanged(told(ID, 'renamed'));
  assert.deepEqual(names(), { [outer]: 'billing', [inner]: 'renamed' });
});

test('of two nested alike the one that was known first is meant, and one that is nested deeper never', async () => {
  const { found, answered, names } = registryOf();
  const [first, second] = [`/docker/${OUTER}/docker/${ID}`, `/docker/${OTHER}/docker/${ID}`];
  const deeper = `/docker/${OUTER}/docker/${OTHER}/docker/${ID}`;
  for (const path of [deeper, first, second]) {
    found(path);
    await answered();
  }
  assert.deepEqual(names(), { [first]: 'billing', [second]: null, [deeper]: null });
});

test("a user's groups take nothing from a container of their id, and hold nothing back from it", async () => {
  const { found, answered, names } = registryOf();
  const users = `/user.slice/user-1000.slice/user@1000.service/docker-${OUTER}.scope`;
  const usersNested = `${users}/docker-${ID}.scope`;
  for (const path of [usersNested, COPY, `/user.slice/user-1000.slice/docker-${ID}.scope`]) found(path);
  await answered();
  // What is told of a user's groups, their own runtime told: the directory asks no other.
  assert.equal(names()[COPY], 'billing');
  assert.equal(names()[usersNested], 'billing');
});
