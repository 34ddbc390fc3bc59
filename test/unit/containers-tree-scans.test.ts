// Looks through a tree, while groups go: what is remembered of those.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { scopeOfCgroup } from '../../src/containers/scope.ts';
import { TreeScans } from '../../src/containers/tree-scans.ts';

const GROUPS = 300_000;
/** A set of so many takes 20 MB and more. */
const REMEMBERED_BYTES_MAX = 4_000_000;

test('a group that goes during a look is not found by it, and by the next one it is', async (t) => {
  const mountPoint = mkdtempSync(join(tmpdir(), 'fdspan-scans-'));
  t.after(() => rmSync(mountPoint, { recursive: true }));
  mkdirSync(join(mountPoint, 'a'));
  const scope = scopeOfCgroup(statSync(join(mountPoint, 'a'), { bigint: true }).ino, 'v2');
  const found: bigint[] = [];
  const scans = new TreeScans({
    hierarchies: [{ mountPoint, version: 'v2' }],
    found: (group) => void found.push(group.scope),
    leftOut: () => {},
    pauseMs: 0,
  });
  const look = scans.scan();
  await Promise.resolve();
  await Promise.resolve();
  scans.removed(scope);
  assert.equal((await look).scopes.has(scope), false);
  assert.ok(!found.includes(scope));
  assert.equal((await scans.scan()).scopes.has(scope), true, 'its number was given again');
});

test('the next look waits for the end of a pause, or of all pauses, and serves all who ask meanwhile', async () => {
  const scans = new TreeScans({ hierarchies: [], found: () => {}, leftOut: () => {}, pauseMs: 3_600_000 });
  await scans.scan();
  let isOver = false;
  const [next, other] = [scans.scan(), scans.scan()];
  assert.equal(next, other);
  void next.then(() => (isOver = true));
  for (let turns = 0; turns < 10; turns += 1) await turn();
  assert.equal(isOver, false);
  scans.endPauses();
  await next;
  await scans.scan();
});

test('a look decides anew when one of those who asked for it wants that', async (t) => {
  const mountPoint = mkdtempSync(join(tmpdir(), 'fdspan-scans-'));
  t.after(() => rmSync(mountPoint, { recursive: true }));
  const told: boolean[] = [];
  const scans = new TreeScans({
    hierarchies: [{ mountPoint, version: 'v2' }],
    found: (_found, mayDecideAnew) => void told.push(mayDecideAnew),
    leftOut: () => {},
    pauseMs: 0,
  });
  await scans.scan(false);
  await Promise.all([scans.scan(false), scans.scan(), scans.scan(false)]);
  await scans.scan(false);
  assert.deepEqual(told, [false, true, false]);
});

test('a look tells of so many groups that other work gets its turns between', async (t) => {
  const mountPoint = mkdtempSync(join(tmpdir(), 'fdspan-scans-'));
  t.after(() => rmSync(mountPoint, { recursive: true }));
  const GROUPS_FOUND = 1003;
  for (let group = 1; group < GROUPS_FOUND; group += 1) mkdirSync(join(mountPoint, `group-${group}`));
  let [inTurn, most, found] = [0, 0, 0];
  let isLooking = true;
  const scans = new TreeScans({
    hierarchies: [{ mountPoint, version: 'v2' }],
    found: () => {
      found += 1;
      inTurn += 1;
      most = Math.max(most, inTurn);
    },
    leftOut: () => {},
  });
  const look = scans.scan().finally(() => (isLooking = false));
  while (isLooking) {
    await turn();
    inTurn = 0;
  }
  await look;
  assert.equal(found, GROUPS_FOUND, 'the root is one');
  assert.ok(most <= 512, `${most} in one turn`);
});

test('groups that go while no look runs are not remembered', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const scans = new TreeScans({ hierarchies: [], found: () => {}, leftOut: () => {} });
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let group = 0; group < GROUPS; group += 1) scans.removed(BigInt(group) << 20n);
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < REMEMBERED_BYTES_MAX, `${grown} bytes for ${GROUPS} groups`);
  scans.removed(0n);
});
