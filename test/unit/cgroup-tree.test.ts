import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findHierarchies, layoutOf } from '../../src/containers/cgroup-mounts.ts';
import { findGroup, scanTree } from '../../src/containers/cgroup-tree.ts';

const V2 = '41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate';
const UNIFIED = '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw';
const V1 = '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct,xattr';
const NAMED = '40 31 0:37 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd';

test('tells v2, hybrid and v1 hosts apart and finds their hierarchies', () => {
  assert.equal(layoutOf(findHierarchies(V2)), 'v2');
  assert.equal(layoutOf(findHierarchies(`${V1}\n${UNIFIED}\n`)), 'hybrid');
  assert.equal(layoutOf(findHierarchies(`${V1}\n${NAMED}`)), 'v1');
  assert.equal(layoutOf(findHierarchies('1 2 0:1 / /proc rw - proc proc rw\nnonsense')), null);
  assert.deepEqual(findHierarchies(`${V1}\n${NAMED}\n${UNIFIED}`), [
    { version: 'v2', controllers: [], mountPoint: '/sys/fs/cgroup/unified', root: '/' },
    { version: 'v1', controllers: ['cpu', 'cpuacct'], mountPoint: '/sys/fs/cgroup/cpu,cpuacct', root: '/' },
    { version: 'v1', controllers: ['name=systemd'], mountPoint: '/sys/fs/cgroup/a b', root: '/' },
  ]);
});

test('lists every group of a tree with its inode number, and counts what is beyond the maximum', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fdspan-tree-'));
  try {
    mkdirSync(join(root, 'a/b'), { recursive: true });
    mkdirSync(Buffer.from(`${root}/\xff`, 'latin1'));
    const { groups, leftOut } = await scanTree(root);
    const expected = execFileSync('find', [root, '-type', 'd', '-printf', '%i /%P\n'], {
      encoding: 'latin1',
    });
    assert.deepEqual(
      groups.map(({ id, path }) => `${id} ${path}`).sort(),
      expected.trim().split('\n').sort(),
    );
    assert.equal(leftOut, 0);
    assert.deepEqual((await scanTree(root, 2)).groups.length, 2);
    assert.equal((await scanTree(root, 1)).leftOut, 2);
    const inner = groups.find(({ path }) => path === '/a/b');
    assert.equal(await findGroup(root, inner?.id ?? 0n), '/a/b');
    assert.equal(await findGroup(root, 1n), null);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('survives groups that vanish during the scan', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fdspan-tree-'));
  try {
    for (let i = 0; i < 200; i++) mkdirSync(join(root, `g${i}`));
    const scan = scanTree(root);
    for (let i = 0; i < 200; i += 2) rmSync(join(root, `g${i}`), { recursive: true });
    assert.ok((await scan).groups.length >= 101);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("scans this host's own hierarchies", async (t) => {
  const [first] = findHierarchies(readFileSync('/proc/self/mountinfo', 'latin1'));
  if (first === undefined) return t.skip('no cgroup hierarchy is mounted here');
  const { groups } = await scanTree(first.mountPoint);
  assert.equal(groups[0].path, '/');
});
