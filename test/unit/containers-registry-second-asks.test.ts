// Containers that got no answer, or one of a source that knows less: they are asked about once more, and again when a
// source comes back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerRegistry } from '../../src/containers/registry.ts';
import type { RegistryOptions } from '../../src/containers/registry-options.ts';
import { compileRules, type ContainerRule } from '../../src/containers/rules.ts';
import type { ContainerMetadata } from '../../src/containers/runtimes/runtime-source.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';

const idOf = (index: number): string => index.toString(16).padStart(64, '0');
const v2 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v2');

function rulesOf(allow: ContainerRule[], deny: ContainerRule[]) {
  return { rules: compileRules(allow, deny), extraAttributes: {}, isLabelWanted: () => true };
}

/** `answers` holds what the runtime knows now; what it lacks is answered with null. */
function registryWith(options: Partial<RegistryOptions> = {}) {
  const calls: string[] = [];
  const asked: { readonly id: string; readonly isAgain: boolean }[] = [];
  const answers = new Map<string, ContainerMetadata>();
  const registry = new ContainerRegistry({
    ...rulesOf([], []),
    containersMax: 1000,
    keepAfterExitMs: 1000,
    hostAttributes: {},
    distroVersion: '0.1.0',
    encodeResource: () => new Uint8Array(1),
    findMetadata: ({ id }, _runtime, _isThere, isAgain) => {
      asked.push({ id, isAgain });
      return Promise.resolve(answers.get(id) ?? null);
    },
    bareContainerOf: () => null,
    confirmGuess: () => false,
    listener: {
      container: () => undefined,
      containerGone: () => undefined,
      scope: (scope, verdict, slot) => calls.push(`scope ${scope & 0xffffn} ${verdict} ${slot}`),
      scopeGone: () => undefined,
      containersFull: () => undefined,
    },
    ...options,
  });
  const find = async (index: number): Promise<void> => {
    registry.scopeFound({ scope: v2(index), path: `/docker/${idOf(index)}`, version: 'v2' });
    await registry.settled();
  };
  let nowMs = 0;
  const tick = async () => {
    const needs = registry.tick((nowMs += 1000));
    await registry.settled();
    return needs;
  };
  const answer = (index: number, name: string, toldBy = 'docker'): void =>
    void answers.set(idOf(index), { id: idOf(index), runtimeName: 'docker', name, toldBy });
  return { registry, asked, answers, answer, find, tick, take: () => calls.splice(0) };
}

test('a container that got no answer is asked about once more, and denied by what is told then', async () => {
  const { find, answer, tick, take, asked } = registryWith(rulesOf([], [{ name: 'secret' }]));
  await find(5);
  assert.equal(take().at(-1), 'scope 5 trace 1');
  answer(5, 'secret');
  await tick();
  assert.deepEqual(take(), ['scope 5 deny 1']);
  assert.deepEqual(
    asked.map(({ isAgain }) => isAgain),
    [false, true],
  );
  await tick();
  assert.equal(asked.length, 2, 'it is known now');
});

test('a container that an allow list knows by name is traced once its runtime answers, and described', async () => {
  const { find, answer, tick, take } = registryWith(rulesOf([{ name: 'web' }], []));
  await find(5);
  assert.equal(take().at(-1), 'scope 5 deny 0');
  answer(5, 'web');
  await tick();
  assert.deepEqual(take(), ['scope 5 trace 1']);
  assert.equal((await tick()).description, true);
  assert.equal((await tick()).description, false, 'once');
});

test('what nobody knows is asked about twice, and once more at each come-back of a source, every 10 s', async () => {
  const { registry, find, tick, asked } = registryWith();
  await find(5);
  for (let second = 0; second < 100; second += 1) await tick();
  assert.equal(asked.length, 2);
  registry.sourceIsBack();
  await tick();
  assert.equal(asked.length, 3);
  for (let second = 0; second < 30; second += 1) {
    registry.sourceIsBack();
    await tick();
  }
  assert.equal(asked.length, 6);
});

test('the answer of a source that knows less is replaced by that of a better one, never the other way', async () => {
  const { registry, find, answer, tick, asked } = registryWith();
  answer(5, 'state', 'docker state');
  await find(5);
  answer(5, 'engine', 'docker');
  await tick();
  assert.equal(registry.list()[0].name, 'engine');
  assert.equal(asked.length, 2);
  registry.sourceIsBack();
  await tick();
  assert.equal(asked.length, 2, 'the best source has told');
});

test('an event of a better source judges a container anew that a worse one told of', async () => {
  const { registry, find, answer, take } = registryWith(rulesOf([], [{ name: 'secret' }]));
  answer(5, 'state', 'docker state');
  await find(5);
  take();
  registry.metadataChanged({ id: idOf(5), runtimeName: 'docker', name: 'secret', toldBy: 'docker' });
  assert.deepEqual(take(), ['scope 5 deny 1']);
});

test('nothing is asked again while the source fails, and all is once it works', async () => {
  let isPaused = true;
  const { find, answer, tick, asked, registry } = registryWith({ isRuntimePaused: () => isPaused });
  await find(5);
  for (let second = 0; second < 100; second += 1) await tick();
  assert.equal(asked.length, 1);
  isPaused = false;
  answer(5, 'web');
  await tick();
  assert.equal(registry.list()[0].name, 'web');
});

test('of 330 containers 64 at once are asked about again, and none twice', async () => {
  const { find, tick, asked } = registryWith();
  for (let index = 1; index <= 330; index += 1) await find(index);
  asked.splice(0);
  await tick();
  assert.equal(asked.length, 64);
  for (let second = 0; second < 10; second += 1) await tick();
  assert.equal(new Set(asked.map(({ id }) => id)).size, 330);
  assert.equal(asked.length, 330);
});

test('a reload asks again about what nobody knew', async () => {
  const { registry, find, answer, tick, take } = registryWith();
  await find(5);
  await tick();
  answer(5, 'secret');
  registry.reload(rulesOf([], [{ name: 'secret' }]));
  take();
  await tick();
  assert.deepEqual(take(), ['scope 5 deny 1']);
});

test('a container that went is not asked about again', async () => {
  const { registry, find, tick, asked } = registryWith();
  await find(5);
  registry.scopeRemoved(v2(5));
  for (let second = 0; second < 5; second += 1) await tick();
  assert.equal(asked.length, 1);
});

test('an event of the source that told of a container before leaves the verdict', async () => {
  const { registry, answer, find, take } = registryWith(rulesOf([], [{ name: 'secret' }]));
  answer(1, 'web', 'docker state');
  await find(1);
  take();
  const named = (toldBy: string) => ({ id: idOf(1), runtimeName: 'docker', name: 'secret', toldBy });
  registry.metadataChanged(named('docker state'));
  assert.deepEqual(take(), [], 'it knows no more than before');
  registry.metadataChanged(named('docker'));
  assert.deepEqual(take(), ['scope 1 deny 1']);
});

test('nothing waits for a second answer', async () => {
  const { registry, find, tick } = registryWith({
    findMetadata: (_question, _runtime, _isThere, isAgain) =>
      isAgain ? new Promise(() => {}) : Promise.resolve(null),
  });
  await find(1);
  await tick();
  await registry.settled();
});
