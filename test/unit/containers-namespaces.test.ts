// Whose a namespace is, and when it is forgotten. /proc is a folder that the test writes.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { FoundScope } from '../../src/containers/found-scope.ts';
import { Namespaces } from '../../src/containers/namespaces.ts';
import type { NamespaceMet } from '../../src/containers/scope-records.ts';

const HOST = { mnt: 10, pid: 20 };
const DOCKER = `/docker/${'a'.repeat(64)}`;
/** A mount namespace of the number 77. */
const SCOPE = (2n << 62n) | (5n << 32n) | 77n;
const GROUP = 900n;

interface Watch {
  readonly namespaces: Namespaces;
  readonly found: FoundScope[];
  readonly askedAgain: bigint[];
  readonly gone: bigint[];
  seen: ReadonlySet<bigint>;
  readonly process: (pid: number, groups: string, startedTicks: number) => void;
}

function watch(t: TestContext): Watch {
  const procFolder = mkdtempSync(join(tmpdir(), 'fdspan-proc-'));
  t.after(() => rmSync(procFolder, { recursive: true }));
  const [found, askedAgain, gone]: [FoundScope[], bigint[], bigint[]] = [[], [], []];
  const namespaces = new Namespaces({
    hierarchies: [],
    cgroup1Controller: 'pids',
    hostNamespaces: HOST,
    proofs: { confirmGuess: () => false, bareContainerOf: () => null },
    procFolder,
    listener: {
      found: (one) => void found.push(one),
      meetAgain: (scope) => void askedAgain.push(scope),
      gone: (scope) => void gone.push(scope),
      listAll: () => Promise.resolve(made.seen),
      lookFailed: (error) => assert.fail(String(error)),
    },
  });
  const made: Watch = {
    namespaces,
    found,
    askedAgain,
    gone,
    seen: new Set(),
    process: (pid, groups, startedTicks) => {
      mkdirSync(join(procFolder, String(pid)));
      writeFileSync(join(procFolder, String(pid), 'cgroup'), groups);
      const fields = ['S', ...new Array<number>(18).fill(1), startedTicks, 0];
      writeFileSync(join(procFolder, String(pid), 'stat'), `${pid} (a) b) ${fields.join(' ')}`);
    },
  };
  return made;
}

function met(more: Partial<NamespaceMet> = {}, mnt = 77, pid = 88): NamespaceMet {
  return {
    type: 'met',
    scope: SCOPE,
    pid: 4,
    processStartedBootNs: 1_239_999_999n,
    groups: [0n, 0n],
    namespaces: Uint32Array.of(mnt, pid, 3, 4, 5, 6, 7),
    hostname: '',
    ...more,
  };
}

test('the group that the kernel tells names the container, though the process and the group are gone', async (t) => {
  const { namespaces, found } = watch(t);
  namespaces.groups.add(GROUP, DOCKER);
  namespaces.groups.remove(GROUP);
  namespaces.met(met({ groups: [GROUP, 0n] }));
  await namespaces.settle();
  assert.equal(found.length, 1);
  assert.deepEqual([found[0].scope, found[0].path, found[0].version], [SCOPE, DOCKER, 'v2']);
  assert.equal(found[0].container?.containerId, 'a'.repeat(64));
  assert.equal(found[0].container?.runtime, 'docker');
});

test('/proc is asked for hierarchies that are not watched, and not believed of another process', async (t) => {
  const right = watch(t);
  right.process(4, `9:name=systemd:${DOCKER}\n0::/\n`, 123);
  right.namespaces.met(met());
  await right.namespaces.settle();
  assert.equal(right.found[0].container?.containerId, 'a'.repeat(64));
  assert.deepEqual([right.found[0].version, right.found[0].cgroupId], ['v1', null]);

  const other = watch(t);
  other.process(4, `0::${DOCKER}\n`, 124);
  other.namespaces.met(met());
  await other.namespaces.settle();
  assert.equal(other.found[0].container?.containerId, 'mnt:77');
});

test('a process that names no container is not believed at once: the next is asked, three in all', async (t) => {
  const { namespaces, found, askedAgain, process } = watch(t);
  process(4, '0::/shell\n', 123);
  process(5, `0::${DOCKER}\n`, 123);
  namespaces.met(met());
  await until(() => askedAgain.length === 1);
  assert.equal(found.length, 0);
  namespaces.met(met({ pid: 5 }));
  await until(() => found.length === 1);
  assert.equal(found[0].container?.containerId, 'a'.repeat(64));
  namespaces.met(met());
  await namespaces.settle();
  assert.equal(found.length, 1, 'told once');
  assert.deepEqual(askedAgain, [SCOPE]);
});

test('a namespace that nobody names goes by its number after three processes, or after some time', async (t) => {
  const { namespaces, found, askedAgain, process } = watch(t);
  process(4, '0::/shell\n', 123);
  for (let asked = 1; asked <= 3; asked++) {
    namespaces.met(met());
    if (asked < 3) await until(() => askedAgain.length === asked);
  }
  await until(() => found.length === 1);
  assert.equal(askedAgain.length, 2);
  const { container, path } = found[0];
  assert.deepEqual([container?.containerId, container?.runtime, path], ['mnt:77', 'unknown', '/shell']);

  const late = watch(t);
  late.namespaces.met(met());
  await until(() => late.found.length === 1);
  assert.equal(late.found[0].container?.containerId, 'mnt:77');
});

test('two namespaces of one number are two containers', async (t) => {
  const { namespaces, found } = watch(t);
  const next = SCOPE + (1n << 32n);
  namespaces.met(met());
  namespaces.met(met({ scope: next }));
  await namespaces.settle();
  const [one, other] = found.map(({ container }) => container);
  assert.equal(one?.containerId, other?.containerId);
  assert.notEqual(one?.instance, other?.instance);
});

test('only what has both namespaces of its own goes by a number: services and browsers do not', async (t) => {
  const { namespaces, found } = watch(t);
  namespaces.met(met({}, 77, HOST.pid));
  namespaces.met(met({ scope: (3n << 62n) | 88n }, HOST.mnt, 88));
  namespaces.met(met({ scope: (3n << 62n) | 99n }, 77, 99));
  await namespaces.settle();
  assert.deepEqual(
    found.map(({ container }) => container?.containerId ?? null),
    [null, null, 'pid:99'],
  );
});

test('a namespace whose record was lost is asked for again, then goes by its number', async (t) => {
  const { namespaces, found, askedAgain } = watch(t);
  namespaces.unknown(SCOPE);
  assert.deepEqual(askedAgain, [SCOPE]);
  await until(() => found.length === 1);
  assert.equal(found[0].container?.containerId, 'mnt:77');
});

test('a namespace is forgotten when two looks in a row see no task in it', async (t) => {
  const made = watch(t);
  const { namespaces, gone } = made;
  namespaces.groups.add(GROUP, DOCKER);
  namespaces.met(met({ groups: [GROUP, 0n] }));
  await until(() => made.found.length === 1);
  const look = async (atMs: number, seen: readonly bigint[]): Promise<void> => {
    made.seen = new Set(seen);
    namespaces.tick(atMs);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await look(30_000, []);
  await look(60_000, [SCOPE]);
  await look(90_000, []);
  await look(90_500, []);
  assert.deepEqual(gone, [], 'the last look came too soon to be one');
  await look(120_000, []);
  assert.deepEqual(gone, [SCOPE]);
  await look(150_000, []);
  assert.deepEqual(gone, [SCOPE], 'once');
});

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!isTrue()) {
    if (Date.now() > deadline) assert.fail(`still waiting for ${String(isTrue)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
