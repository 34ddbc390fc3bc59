// What tells containers apart on each kind of host. The mounts are written as hosts show them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findHierarchies, layoutOf } from '../../src/containers/cgroup-mounts.ts';
import { chooseScope, type ScopeBy, type ScopeChoice } from '../../src/containers/scope-choice.ts';

const V2 = '30 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
const PIDS = '31 23 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n';
const MEMORY = '32 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
const SYSTEMD = '33 23 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n';

function choose(mountinfo: string, by: ScopeBy = 'auto', cgroup1Hierarchy = 'auto'): ScopeChoice {
  const hierarchies = findHierarchies(mountinfo);
  return chooseScope({ by, cgroup1Hierarchy }, hierarchies, layoutOf(hierarchies));
}

function told({ by, byCgroup2, cgroup1Controller, hierarchies }: ScopeChoice): unknown[] {
  return [by, byCgroup2, cgroup1Controller, hierarchies.map(({ mountPoint }) => mountPoint.slice(15))];
}

test('auto takes v2 alone, v2 and v1 on a hybrid host, v1 alone, and says which', () => {
  assert.deepEqual(told(choose(V2)), ['cgroup', true, null, ['unified']]);
  assert.match(choose(V2).explanation, /^the host is v2: the v2 group's id$/);
  assert.deepEqual(told(choose(V2 + MEMORY + PIDS)), ['cgroup', true, 'pids', ['unified', 'pids']]);
  assert.match(choose(V2 + PIDS).explanation, /^the host is hybrid: .* v1 hierarchy pids$/);
  assert.deepEqual(told(choose(MEMORY + SYSTEMD)), ['cgroup', false, 'memory', ['memory']]);
  assert.match(choose(MEMORY).explanation, /^the host is v1: .* v1 hierarchy memory$/);
});

test('auto takes the mount namespace where no hierarchy can tell containers apart', () => {
  assert.deepEqual(told(choose('')), ['mntns', false, null, []]);
  assert.match(choose('').explanation, /^no cgroup hierarchy is mounted: the number of the mount namespace$/);
  assert.deepEqual(told(choose(SYSTEMD)), ['mntns', false, null, []]);
  assert.match(choose(SYSTEMD).explanation, /^no hierarchy with a controller is mounted: /);
});

test('namespaces are taken when asked for; the hierarchies then only name the containers', () => {
  assert.deepEqual(told(choose(V2 + PIDS, 'mntns')), ['mntns', true, 'pids', ['unified', 'pids']]);
  assert.deepEqual(told(choose('', 'pidns')), ['pidns', false, null, []]);
  assert.match(choose(V2, 'pidns').explanation, /^scope.by is pidns: the number of the pid namespace$/);
});

test('a v1 hierarchy can be chosen; one that is not mounted is refused with those that are', () => {
  assert.deepEqual(told(choose(PIDS + MEMORY, 'cgroup1', 'memory')), ['cgroup', false, 'memory', ['memory']]);
  assert.deepEqual(told(choose(V2 + PIDS + MEMORY, 'auto', 'memory'))[2], 'memory');
  assert.throws(
    () => choose(V2 + PIDS + SYSTEMD, 'cgroup1', 'memory'),
    /memory isn't mounted .*mounted are pids\)/,
  );
  assert.throws(() => choose(V2, 'auto', 'memory'), /\(none is\)/);
});

test('a wanted version that is not mounted is refused', () => {
  for (const [mounts, by] of [
    [V2, 'cgroup1'],
    [PIDS, 'cgroup2'],
    ['', 'cgroup2'],
  ] as const)
    assert.throws(() => choose(mounts, by), { code: 'KERNEL_UNFIT', message: new RegExp(`scope.by ${by}`) });
});
