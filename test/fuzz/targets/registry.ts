// The registry of containers, told of groups, processes, ends and runtimes' answers in any order: what it tells the pump
// fits together, a slot is one container's at a time, and all of it is given back in the end.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ContainerRegistry } from '../../../src/containers/registry.ts';
import type { RegistryListener } from '../../../src/containers/registry-options.ts';
import { compileRules, type ContainerRule } from '../../../src/containers/rules.ts';
import type { ContainerMetadata } from '../../../src/containers/runtimes/runtime-source.ts';
import { scopeOfCgroup } from '../../../src/containers/scope.ts';
import type { FuzzTarget } from '../fuzz.ts';

const CONTAINERS_MAX = 2;
const SCOPES = 6;
const KEEP_MS = 1000;
const [A, B, C] = ['a1', 'b2', 'c3'].map((pair) => pair.repeat(32));
const PATHS = [
  `/docker/${A}`,
  `/docker/${A}/init.scope`,
  `/machine.slice/libpod-${B}.scope/container`,
  `/kubepods/burstable/pod11111111-2222-3333-4444-555555555555/${C}`,
  `/docker/${A}/docker/${B}`,
  '/system.slice/ssh.service',
  `/shop/${C}`,
  '/lxc.payload.web',
];
const RULES: readonly (readonly [readonly ContainerRule[], readonly ContainerRule[]])[] = [
  [[], []],
  [[{ name: 'a*' }], []],
  [[], [{ id: `${B.slice(0, 4)}*` }]],
  [[], [{ runtime: 'docker' }, { name: 'c*' }]],
  [[{ cgroup: '/docker/*' }], []],
];
const METADATA: readonly ContainerMetadata[] = [
  { id: A, runtimeName: 'docker', name: 'alpha' },
  { id: B, runtimeName: 'podman', name: 'beta' },
  { id: C, runtimeName: 'containerd', name: 'gamma' },
  { id: 'web', runtimeName: 'lxc', name: 'web' },
];

const scope = fc.nat({ max: SCOPES - 1 });
const step = fc.oneof(
  fc.record({
    does: fc.constant('found' as const),
    scope,
    path: fc.nat({ max: PATHS.length - 1 }),
    isTruncated: fc.boolean(),
    within: scope,
  }),
  fc.record({ does: fc.constant('removed' as const), scope }),
  fc.record({ does: fc.constant('described' as const), scope, startedMs: fc.nat({ max: 9 }) }),
  fc.record({ does: fc.constant('tick' as const), ms: fc.constantFrom(0, 1, 500, 999, 1000, 5000) }),
  fc.record({ does: fc.constant('answer' as const), metadata: fc.option(fc.constantFrom(...METADATA)) }),
  fc.record({ does: fc.constant('changed' as const), metadata: fc.constantFrom(...METADATA) }),
  fc.record({ does: fc.constant('rules' as const), rules: fc.nat({ max: RULES.length - 1 }) }),
);

interface Input {
  readonly waitsForDescription: boolean;
  readonly steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[];
}

/** What the pump knows by what it was told. */
class ToldPump implements RegistryListener {
  traced = 0;
  denied = 0;
  /** Whose each slot is. */
  readonly #slots = new Map<number, unknown>();
  readonly #slotOfScope = new Map<bigint, number>();
  #failure: unknown = null;

  container(
    { slot }: Parameters<RegistryListener['container']>[0],
    attributes: Record<string, unknown>,
  ): void {
    const id = attributes['container.id'];
    this.#check(() => {
      assert.ok(slot >= 1 && slot <= CONTAINERS_MAX, `slot ${slot}`);
      if (this.#slots.has(slot)) assert.equal(this.#slots.get(slot), id, "a slot is one container's");
    });
    this.#slots.set(slot, id);
  }

  containerGone(slot: number): void {
    this.#check(() => {
      assert.ok(this.#slots.has(slot), `slot ${slot} goes that nobody has`);
      for (const [of, its] of this.#slotOfScope) assert.notEqual(its, slot, `scope ${of} still has the slot`);
    });
    this.#slots.delete(slot);
  }

  containersFull(): void {}

  scope(of: bigint, verdict: string, slot: number): void {
    if (verdict === 'unjudged') return;
    if (verdict === 'trace') this.traced += 1;
    else this.denied += 1;
    this.#check(() => {
      assert.ok(verdict !== 'trace' || slot > 0, 'what is traced has a slot');
      assert.ok(slot === 0 || this.#slots.has(slot), `scope ${of} gets slot ${slot} that nobody has`);
    });
    if (slot === 0) this.#slotOfScope.delete(of);
    else this.#slotOfScope.set(of, slot);
  }

  scopeGone(of: bigint): void {
    this.#slotOfScope.delete(of);
  }

  /** Throws the first thing that didn't fit. */
  rethrow(): void {
    if (this.#failure !== null) throw this.#failure as Error;
  }

  assertEmpty(): void {
    assert.equal(this.#slots.size, 0, 'every slot is given back');
    assert.equal(this.#slotOfScope.size, 0, 'no scope has a slot');
  }

  /** An error thrown here could end in a promise that nobody asks. */
  #check(holds: () => void): void {
    try {
      holds();
    } catch (error) {
      this.#failure ??= error;
    }
  }
}

/** Promises that the registry waits for run on before the next step. */
async function turn(): Promise<void> {
  for (let count = 0; count < 4; count += 1) await Promise.resolve();
}

const scopeOf = (index: number): bigint => scopeOfCgroup(BigInt(100 + index), index % 3 === 0 ? 'v1' : 'v2');
const rulesOf = (index: number) => ({
  rules: compileRules(...RULES[index]),
  extraAttributes: {},
  isLabelWanted: () => false,
});

export const REGISTRY: FuzzTarget<Input> = {
  title: 'groups, processes, ends and answers told to the registry of containers in any order',
  // Reason: up to thirty steps each.
  weight: 1 / 20,
  input: fc.record({ waitsForDescription: fc.boolean(), steps: fc.array(step, { maxLength: 30 }) }),
  judge: async ({ waitsForDescription, steps }) => {
    const told = new ToldPump();
    const asked: ((metadata: ContainerMetadata | null) => void)[] = [];
    const registry = new ContainerRegistry({
      containersMax: CONTAINERS_MAX,
      keepAfterExitMs: KEEP_MS,
      waitsForDescription,
      hostAttributes: {},
      distroVersion: '1',
      ...rulesOf(0),
      encodeResource: () => new Uint8Array(1),
      findMetadata: () => new Promise((resolve) => asked.push(resolve)),
      confirmGuess: () => false,
      bareContainerOf: () => null,
      bareContainerOfNow: () => null,
      listener: told,
    });
    let nowMs = 0;
    for (const taken of steps) {
      if (taken.does === 'found') {
        const of = scopeOf(taken.scope);
        registry.scopeFound({
          scope: of,
          containerScope: scopeOf(taken.within),
          path: PATHS[taken.path],
          isPathTruncated: taken.isTruncated,
          version: taken.scope % 3 === 0 ? 'v1' : 'v2',
        });
      } else if (taken.does === 'removed') registry.scopeRemoved(scopeOf(taken.scope));
      else if (taken.does === 'described') {
        registry.scopeDescribed({
          type: 'described',
          scope: scopeOf(taken.scope),
          pid: 7,
          processStartedBootNs: BigInt(taken.startedMs),
          groups: [0n, 0n],
          namespaces: new Uint32Array(7),
          hostname: 'h',
        });
      } else if (taken.does === 'tick') registry.tick((nowMs += taken.ms));
      else if (taken.does === 'answer') asked.shift()?.(taken.metadata);
      else if (taken.does === 'changed') registry.metadataChanged(taken.metadata);
      else registry.reload(rulesOf(taken.rules));
      await turn();
      told.rethrow();
    }
    for (let index = 0; index < SCOPES; index += 1) registry.scopeRemoved(scopeOf(index));
    for (const answer of asked) answer(null);
    await turn();
    for (let ticks = 0; ticks < 3; ticks += 1) registry.tick((nowMs += 20 * KEEP_MS));
    told.rethrow();
    assert.deepEqual(registry.list(), [], 'nothing is kept for ever');
    told.assertEmpty();
    return told.traced > 0 ? 'traced' : told.denied > 0 ? 'not traced' : 'nothing';
  },
  expected: ['traced', 'not traced', 'nothing'],
};
