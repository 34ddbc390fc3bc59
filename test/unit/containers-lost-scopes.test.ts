// What makes up for lost records about groups, on folders that stand in for a hierarchy's groups.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { LostScopes } from '../../src/containers/lost-scopes.ts';
import { PolicyTable } from '../../src/containers/policy-table.ts';
import { scopeOfCgroup } from '../../src/containers/scope.ts';
import { TreeScans } from '../../src/containers/tree-scans.ts';

function lostIn(t: TestContext) {
  const mountPoint = mkdtempSync(join(tmpdir(), 'fdspan-lost-'));
  t.after(() => rmSync(mountPoint, { recursive: true }));
  const calls: string[] = [];
  const names = new Map<bigint, string>();
  const known = new Set<bigint>();
  const nameOf = (scope: bigint): string => names.get(scope) ?? `unnamed ${scope}`;
  const policy = new PolicyTable(
    {
      judge: () => true,
      forget: (scope) => calls.push(`kernel forgets ${nameOf(scope)}`),
    },
    false,
  );
  let looks = 0;
  const scans = new TreeScans({
    hierarchies: [{ mountPoint, version: 'v2' }],
    found: ({ scope, path }) => {
      if (path.startsWith('/container')) known.add(scope);
    },
    leftOut: () => {},
    pauseMs: 0,
  });
  const scan = (): ReturnType<TreeScans['scan']> => {
    looks += 1;
    return scans.scan();
  };
  const lost = new LostScopes({
    policy,
    scans: { scan },
    isKnown: (scope) => known.has(scope),
    removed: (scope) => calls.push(`removed ${nameOf(scope)}`),
    ignored: (scope) => calls.push(`ignored ${nameOf(scope)}`),
    describe: () => Promise.resolve(void calls.push('described')),
    failed: (error) => calls.push(`failed ${String(error)}`),
  });
  const group = (name: string): bigint => {
    const path = join(mountPoint, name);
    mkdirSync(path);
    const scope = scopeOfCgroup(statSync(path, { bigint: true }).ino, 'v2');
    names.set(scope, name);
    return scope;
  };
  const tick = async (recordsLost: number, hasGroups = true): Promise<string[]> => {
    lost.tick(recordsLost, hasGroups);
    await scans.scan();
    await turn();
    return calls.splice(0);
  };
  return { lost, policy, mountPoint, calls, group, tick, looks: () => looks };
}

test('an unknown scope whose group is a container is left to its verdict', async (t) => {
  const { lost, calls, group } = lostIn(t);
  await lost.unknown(group('container'));
  assert.deepEqual(calls, []);
});

test("an unknown scope of a host's group is ignored", async (t) => {
  const { lost, calls, group } = lostIn(t);
  await lost.unknown(group('plain'));
  assert.deepEqual(calls, ['ignored plain']);
});

test('an unknown scope whose group is gone is ignored, and known for a stranger from then on', async (t) => {
  const { lost, policy, calls, group, mountPoint } = lostIn(t);
  const scope = group('gone');
  rmdirSync(join(mountPoint, 'gone'));
  await lost.unknown(scope);
  assert.deepEqual(calls, ['ignored gone']);
  assert.equal(policy.ignoresForGood(scope), true);
});

test('any number of unknown scopes cost one look, and those that are asked about during it one more', async (t) => {
  const { lost, calls, group, looks, mountPoint } = lostIn(t);
  const gone = Array.from({ length: 101 }, (_, index) => group(`gone-${index}`));
  for (const index of gone.keys()) rmdirSync(join(mountPoint, `gone-${index}`));
  const answers = gone.slice(0, 50).map((scope) => lost.unknown(scope));
  assert.equal(looks(), 1);
  await Promise.resolve();
  answers.push(...gone.slice(50).map((scope) => lost.unknown(scope)));
  await Promise.all(answers);
  assert.equal(looks(), 2);
  assert.deepEqual(
    calls,
    gone.map((_, index) => `ignored gone-${index}`),
  );
});

test('a scope that is heard to go while a look for it waits is not answered by that', async (t) => {
  const { lost, calls, group, mountPoint } = lostIn(t);
  const scope = group('gone');
  rmdirSync(join(mountPoint, 'gone'));
  const answer = lost.unknown(scope);
  lost.forget(scope);
  await answer;
  assert.deepEqual(calls, []);
});

test('lost records: groups that went unheard are told of once, and containers are described again', async (t) => {
  const { policy, group, tick, mountPoint } = lostIn(t);
  policy.hold(group('container-stays'));
  policy.hold(group('container-goes'));
  rmdirSync(join(mountPoint, 'container-goes'));
  assert.deepEqual(await tick(0), [], 'nothing was lost');
  assert.deepEqual(await tick(3), ['removed container-goes', 'described']);
  assert.deepEqual(await tick(3), [], 'nothing more was lost');
  const again = await tick(4);
  assert.equal(again.at(-1), 'described');
});

test('where namespaces are the scopes, lost records only make containers be described again', async (t) => {
  const { policy, group, tick, mountPoint } = lostIn(t);
  policy.hold(group('gone'));
  rmdirSync(join(mountPoint, 'gone'));
  assert.deepEqual(await tick(1, false), ['described']);
});

test('a hierarchy that cannot be read is told of, and looked at again when more is lost', async (t) => {
  const { tick, mountPoint } = lostIn(t);
  rmSync(mountPoint, { recursive: true });
  const lost = tick(1);
  await assert.rejects(lost, { code: 'ENOENT' }, "the test's own look");
  mkdirSync(mountPoint);
  const calls = await tick(2);
  assert.match(calls[0], /^failed Error: ENOENT/);
  assert.equal(calls.at(-1), 'described');
});
