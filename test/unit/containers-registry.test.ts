import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerRegistry } from '../../src/containers/registry.ts';
import type { RegistryOptions } from '../../src/containers/registry-options.ts';
import { compileRules } from '../../src/containers/rules.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';

const A = 'a1'.repeat(32);
const B = 'b2'.repeat(32);
const v2 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v2');
const v1 = (id: number): bigint => scopeOfCgroup(BigInt(id), 'v1');

function registryWith(options: Partial<RegistryOptions> = {}) {
  const calls: string[] = [];
  const resources: Record<string, unknown>[] = [];
  const registry = new ContainerRegistry({
    containersMax: 2,
    keepAfterExitMs: 1000,
    hostAttributes: { 'host.name': 'h' },
    extraAttributes: { 'k8s.cluster.name': 'prod' },
    distroVersion: '0.1.0',
    rules: compileRules([], []),
    isLabelWanted: () => false,
    encodeResource: (attributes) => {
      resources.push(attributes);
      return new Uint8Array(1);
    },
    listener: {
      container: ({ slot }) => calls.push(`container ${slot}`),
      containerGone: (slot) => calls.push(`containerGone ${slot}`),
      scope: (scope, verdict, slot, own) =>
        calls.push(`scope ${scope & 0xffffn} ${verdict} ${slot} ${own & 0xffffn}`),
      scopeGone: (scope) => calls.push(`scopeGone ${scope & 0xffffn}`),
      containersFull: (max) => calls.push(`full ${max}`),
    },
    ...options,
  });
  return { registry, calls, resources, take: () => calls.splice(0) };
}

test('groups below a container share its slot and its scope; host groups are ignored', () => {
  const { registry, take } = registryWith();
  registry.scopeFound({ scope: v2(5), path: `/machine.slice/libpod-${A}.scope`, version: 'v2' });
  assert.deepEqual(take(), ['container 1', 'scope 5 trace 1 5']);
  registry.scopeFound({ scope: v2(6), path: `/machine.slice/libpod-${A}.scope/container`, version: 'v2' });
  assert.deepEqual(take(), ['scope 6 trace 1 5']);
  registry.scopeFound({ scope: v2(7), path: '/system.slice/ssh.service', version: 'v2' });
  assert.deepEqual(take(), ['scope 7 ignore 0 7']);
  registry.scopeFound({ scope: v2(6), path: '/elsewhere', version: 'v2' });
  assert.deepEqual(take(), [], 'a known scope keeps its verdict');
});

test('the same container in v1 and v2 has one slot, and its resource tells of v2', () => {
  const { registry, take, resources } = registryWith();
  registry.scopeFound({ scope: v1(9), path: `/docker/${A}`, version: 'v1' });
  registry.scopeFound({ scope: v2(5), path: `/docker/${A}`, version: 'v2' });
  assert.deepEqual(take(), ['container 1', 'scope 9 trace 1 9', 'container 1', 'scope 5 trace 1 5']);
  assert.equal(resources[0]['fdspan.cgroup.version'], 'v1');
  assert.equal(resources[1]['fdspan.cgroup.version'], 'v2');
  assert.equal(resources[1]['fdspan.cgroup.id'], '5');
  assert.equal(registry.list().length, 1);
});

test('a slot is free again only after the container was kept and the listener heard of it', () => {
  const { registry, take } = registryWith({ containersMax: 1 });
  registry.scopeFound({ scope: v2(5), path: `/docker/${A}`, version: 'v2' });
  take();
  registry.scopeFound({ scope: v2(6), path: `/docker/${B}`, version: 'v2' });
  registry.scopeFound({ scope: v2(7), path: `/docker/${'c3'.repeat(32)}`, version: 'v2' });
  assert.deepEqual(take(), ['full 1', 'scope 6 ignore 0 6', 'scope 7 ignore 0 7']);
  assert.equal(registry.counts.containers_full, 2);
  registry.scopeRemoved(v2(5));
  registry.tick(100);
  registry.tick(1099);
  assert.deepEqual(take(), []);
  assert.equal(registry.list()[0].isRunning, false);
  registry.tick(1100);
  assert.deepEqual(take(), ['scopeGone 5', 'containerGone 1']);
  registry.scopeFound({ scope: v2(8), path: `/docker/${B}`, version: 'v2' });
  assert.deepEqual(take(), ['container 1', 'scope 8 trace 1 8']);
});

test("the earliest process describes a container, also when it comes before the container's group", () => {
  const { registry, resources } = registryWith();
  const described = (startedBootNs: bigint, hostname: string) => ({
    type: 'described' as const,
    scope: v2(5),
    pid: 42,
    groups: [0n, 0n] as const,
    processStartedBootNs: startedBootNs,
    namespaces: Uint32Array.of(1, 2, 3, 4, 5, 6, 7),
    hostname,
  });
  registry.scopeDescribed(described(200n, 'web\xff'));
  registry.scopeFound({ scope: v2(5), path: `/docker/${A}`, version: 'v2' });
  registry.scopeDescribed(described(300n, 'later'));
  assert.equal(resources.length, 1);
  assert.deepEqual(resources[0], {
    'service.name': A.slice(0, 12),
    'service.instance.id': A,
    'container.id': A,
    'container.runtime.name': 'docker',
    'fdspan.cgroup.id': '5',
    'fdspan.cgroup.path': `/docker/${A}`,
    'fdspan.cgroup.version': 'v2',
    'fdspan.ns.mnt': 1,
    'fdspan.ns.pid': 2,
    'fdspan.ns.uts': 3,
    'fdspan.ns.net': 4,
    'fdspan.ns.ipc': 5,
    'fdspan.ns.user': 6,
    'fdspan.ns.cgroup': 7,
    'fdspan.container.hostname': 'web\\xff',
    'host.name': 'h',
    'telemetry.distro.name': 'fdspan',
    'telemetry.distro.version': '0.1.0',
    'k8s.cluster.name': 'prod',
  });
});

test('denied containers take no slot, and a guess without proof is ignored', () => {
  const { registry, take } = registryWith({
    rules: compileRules([], [{ id: 'a1*' }]),
    confirmGuess: (namespace, id) => namespace === 'prod' && id === 'web',
  });
  registry.scopeFound({ scope: v2(5), path: `/docker/${A}`, version: 'v2' });
  registry.scopeFound({ scope: v2(6), path: '/prod/web', version: 'v2' });
  registry.scopeFound({ scope: v2(7), path: '/prod/other', version: 'v2' });
  assert.deepEqual(take(), ['scope 5 deny 0 5', 'container 1', 'scope 6 trace 1 6', 'scope 7 ignore 0 7']);
  assert.equal(registry.list()[0].rule, 'deny[0]');
});

test('a container cannot pass for another by the name of a group below it', () => {
  const { registry, take } = registryWith();
  registry.scopeFound({ scope: v2(5), path: `/docker/${A}`, version: 'v2' });
  registry.scopeFound({ scope: v2(6), path: `/docker/${B}/docker/${A}`, version: 'v2' });
  assert.deepEqual(take(), ['container 1', 'scope 5 trace 1 5', 'container 2', 'scope 6 trace 2 6']);
});

test('a path that lost its start inherits what the kernel says', () => {
  const { registry, take } = registryWith();
  registry.scopeFound({ scope: v2(5), path: `/docker/${A}`, version: 'v2' });
  take();
  const found = { path: 'x/y', containerScope: v2(5), version: 'v2' as const };
  registry.scopeFound({ ...found, scope: v2(6), isPathTruncated: true });
  registry.scopeFound({ ...found, scope: v2(7) });
  assert.deepEqual(take(), ['scope 6 trace 1 5', 'scope 7 ignore 0 7']);
});
