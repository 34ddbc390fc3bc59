// The directory of runtimes: who is asked, when again, and what a runtime that is slow, broken or hostile costs the
// others. Over unix sockets where the socket matters; elsewhere sources that answer as the test wants.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { RuntimeDirectory } from '../../src/containers/runtime-directory.ts';
import { EngineSource } from '../../src/containers/runtimes/engine-source.ts';
import type { FoundPlaces } from '../../src/containers/runtime-sources.ts';
import type {
  ContainerMetadata,
  ContainerQuestion,
  RuntimeListener,
  RuntimeSource,
} from '../../src/containers/runtimes/runtime-source.ts';
import { startEngineLookalike } from '../helpers/engine-lookalike.ts';

const ID = 'a1'.repeat(32);
const ASKED: ContainerQuestion = { id: ID, cgroupPath: `/docker/${ID}` };
const OFF = { docker: [], podman: [], containerd: [], cri: [], state: false } as const;
/** Longer than a source is given for its answer. */
const WAIT_MS = 3000;
/** Far longer than any wait of the directory: only an answer can end a look-up sooner. */
const LONG_MS = 60_000;

type Answer = (question: ContainerQuestion, signal: AbortSignal) => Promise<ContainerMetadata | null>;

function metadata(name: string, id = ID): ContainerMetadata {
  return { id, runtimeName: 'docker', name };
}

class TestSource implements RuntimeSource {
  readonly name: string;
  readonly address = '/test';
  answer: Answer;
  asked = 0;
  isClosed = false;
  listener: RuntimeListener | null = null;

  constructor(name: string, answer: Answer) {
    this.name = name;
    this.answer = answer;
  }

  find(question: ContainerQuestion, signal: AbortSignal): Promise<ContainerMetadata | null> {
    this.asked += 1;
    return this.answer(question, signal);
  }

  follow(listener: RuntimeListener): void {
    this.listener = listener;
  }

  close(): void {
    this.isClosed = true;
  }
}

const knows =
  (name: string): Answer =>
  () =>
    Promise.resolve(metadata(name));
const knowsNothing: Answer = () => Promise.resolve(null);
/** Holds on to its question even when it is told to give up. */
const hangs: Answer = () => new Promise(() => {});
const fails: Answer = () => Promise.reject(new Error('broken'));

function foundOf(sources: readonly TestSource[], usersLeftOut = 0): FoundPlaces {
  return { places: sources.map((source) => ({ key: source.name, make: () => source })), usersLeftOut };
}

function directoryOf(t: TestContext, sources: readonly TestSource[], waitMs = LONG_MS) {
  const changes: ContainerMetadata[] = [];
  const states: { readonly source: string; readonly isAnswering: boolean; readonly reason: string }[] = [];
  const directory = new RuntimeDirectory({
    settings: OFF,
    waitMs,
    stateSources: [],
    findPlaces: () => Promise.resolve(foundOf(sources)),
    listener: {
      changed: (changed) => changes.push(changed),
      state: (source, isAnswering, reason) => states.push({ source, isAnswering, reason }),
    },
  });
  t.after(() => directory.close());
  return { directory, changes, states };
}

test('a container that its runtime registers later is found by asking again', async (t) => {
  const source: TestSource = new TestSource('docker', () =>
    Promise.resolve(source.asked < 4 ? null : metadata('late')),
  );
  const { directory } = directoryOf(t, [source]);
  await directory.discover();
  assert.equal((await directory.find(ASKED, 'docker'))?.name, 'late');
  assert.equal(source.asked, 4);
});

test('nobody knows the container: null when nobody would be asked again within the wait', async (t) => {
  const source = new TestSource('docker', knowsNothing);
  const { directory } = directoryOf(t, [source], 120);
  await directory.discover();
  const beganMs = performance.now();
  assert.equal(await directory.find(ASKED, 'docker'), null);
  assert.ok(performance.now() - beganMs < 15 + 30 + 60 + 120, 'the fifth question would come too late');
  assert.ok(source.asked >= 2 && source.asked <= 4, `asked ${source.asked} times`);
});

test("the path's own runtime goes before others that know the container too, in any order of answers", async (t) => {
  const slow: Answer = async () => {
    await delay(20);
    return metadata('by docker');
  };
  const sources = [new TestSource('podman', knows('by podman')), new TestSource('docker', slow)];
  const { directory } = directoryOf(t, sources);
  await directory.discover();
  assert.equal((await directory.find(ASKED, 'docker'))?.name, 'by docker');
  assert.equal((await directory.find(ASKED, 'podman'))?.name, 'by podman');
});

test('another runtime answers for a container that its own knows nothing of, once the wait is over', async (t) => {
  const sources = [new TestSource('docker', knowsNothing), new TestSource('podman', knows('by podman'))];
  const { directory } = directoryOf(t, sources, 150);
  await directory.discover();
  assert.equal((await directory.find(ASKED, 'docker'))?.name, 'by podman');
});

test('a source that hangs does not delay the answer of one that goes before it', async (t) => {
  const sources = [new TestSource('containerd', hangs), new TestSource('cri', knows('by cri'))];
  const { directory, states } = directoryOf(t, sources);
  await directory.discover();
  assert.equal((await directory.find(ASKED, 'containerd'))?.name, 'by cri');
  assert.deepEqual(states, [], 'answered before the hanging one was given up');
});

test('a source that hangs is left out after the second time, told of once, and the others answer', async (t) => {
  const hanging = new TestSource('cri', hangs);
  const { directory, states } = directoryOf(
    t,
    [hanging, new TestSource('containerd', knows('web'))],
    WAIT_MS,
  );
  await directory.discover();
  for (let count = 0; count < 4; count++) {
    assert.equal((await directory.find(ASKED, 'containerd'))?.name, 'web');
  }
  assert.equal(hanging.asked, 2);
  assert.deepEqual(states, [{ source: 'cri (/test)', isAnswering: false, reason: 'no answer in 2000 ms' }]);
  assert.equal(directory.counts.runtime_lookups_failed, 2);
  hanging.answer = knows('by cri');
  hanging.listener?.state(true, '');
  assert.equal((await directory.find(ASKED, 'containerd'))?.name, 'by cri', 'asked again once it is back');
});

test('questions that failed at the same moment count as one failure', async (t) => {
  const source = new TestSource('docker', fails);
  const { directory } = directoryOf(t, [source], 10);
  await directory.discover();
  await Promise.all(Array.from({ length: 10 }, () => directory.find(ASKED, 'docker')));
  const before = source.asked;
  source.answer = knows('web');
  assert.equal((await directory.find(ASKED, 'docker'))?.name, 'web', 'not left out yet');
  assert.equal(source.asked, before + 1);
  assert.equal(directory.counts.runtime_lookups_failed, before);
});

test("a source's failure counts even where it throws at once", async (t) => {
  const source = new TestSource('docker', () => {
    throw new Error('thrown');
  });
  const { directory, states } = directoryOf(t, [source], 100);
  await directory.discover();
  assert.equal(await directory.find(ASKED, 'docker'), null);
  assert.deepEqual(
    states.map(({ reason }) => reason),
    ['thrown'],
  );
});

test('an event answers at once: before the look-up, and while it waits', async (t) => {
  const source = new TestSource('docker', knowsNothing);
  const { directory, changes } = directoryOf(t, [source]);
  await directory.discover();
  source.listener?.changed(metadata('early'));
  assert.equal((await directory.find(ASKED, 'docker'))?.name, 'early');
  assert.equal(source.asked, 0, 'no question was needed');
  const waiting = directory.find(ASKED, 'docker');
  source.listener?.changed(metadata('meanwhile'));
  assert.equal((await waiting)?.name, 'meanwhile');
  assert.deepEqual(
    changes.map(({ name }) => name),
    ['early', 'meanwhile'],
  );
});

test('of 5,000 events the newest 1,024 are kept; a container whose news is forgotten is asked about', async (t) => {
  const idOf = (index: number): string => index.toString(16).padStart(64, '0');
  const source = new TestSource('docker', ({ id }) => Promise.resolve(metadata('asked', id)));
  const { directory } = directoryOf(t, [source]);
  await directory.discover();
  for (let index = 0; index < 5000; index++) source.listener?.changed(metadata('told', idOf(index)));
  const nameOf = async (index: number) =>
    (await directory.find({ id: idOf(index), cgroupPath: '/' }, 'docker'))?.name;
  assert.equal(await nameOf(4999), 'told');
  assert.equal(await nameOf(5000 - 1024), 'told');
  assert.equal(await nameOf(5000 - 1025), 'asked');
});

/** What containerd tells of `NAMESPACE/web`: its own `ctr` names the group by both. */
const web = (namespace: string): ContainerMetadata => ({
  id: 'web',
  runtimeName: 'containerd',
  name: namespace,
  groupPath: `/${namespace}/web`,
});

test('an event about an id that several namespaces give ends the look-up of its own namespace only', async (t) => {
  const source = new TestSource('containerd', knowsNothing);
  const { directory, changes } = directoryOf(t, [source], 200);
  await directory.discover();
  const find = (cgroupPath: string, runtime = 'containerd', isNested = false) =>
    directory.find({ id: 'web', cgroupPath, isNested }, runtime);
  const looks = [
    find('/prod/web'),
    find('/default/web'),
    find('/web', 'runc'),
    find('/lxc.payload.web', 'lxc'),
    find('/lxc.payload.tenant/default/web', 'containerd', true),
  ];
  source.listener?.changed(web('default'));
  const names = (await Promise.all(looks)).map((found) => found?.name ?? null);
  assert.deepEqual(names, [null, 'default', null, null, 'default']);
  assert.equal(changes.length, 1);
});

test('news of an id that several namespaces give wait for the group of each', async (t) => {
  const source = new TestSource('containerd', knowsNothing);
  const { directory } = directoryOf(t, [source], 40);
  await directory.discover();
  for (const namespace of ['one', 'two']) source.listener?.changed(web(namespace));
  const find = async (cgroupPath: string, runtime: string) =>
    (await directory.find({ id: 'web', cgroupPath }, runtime))?.name ?? null;
  assert.equal(await find('/web', 'runc'), null);
  assert.equal(await find('/one/web', 'runc'), null, "another runtime's container in that group");
  assert.equal(await find('/three/web', 'containerd'), null);
  assert.equal(await find('/two/web', 'containerd'), 'two');
  assert.equal(await find('/one/web', 'containerd'), 'one');
});

test('events that could not be used are counted', async (t) => {
  const source = new TestSource('docker', knowsNothing);
  const { directory } = directoryOf(t, [source]);
  await directory.discover();
  for (let count = 0; count < 3; count++) source.listener?.skipped?.('garbage');
  assert.equal(directory.counts.runtime_events_skipped, 3);
});

test('two sources tell of one container: the one that knows more counts, in any order and before any group', async (t) => {
  const told = (name: string): ContainerMetadata => ({ id: ID, runtimeName: 'containerd', name });
  for (const order of [
    ['cri', 'containerd'],
    ['containerd', 'cri'],
  ]) {
    const sources = ['cri', 'containerd'].map(
      (name) => new TestSource(name, () => Promise.resolve(told(`${name} asked`))),
    );
    const { directory, changes } = directoryOf(t, sources);
    await directory.discover();
    for (const name of order) sources.find((source) => source.name === name)?.listener?.changed(told(name));
    assert.equal((await directory.find(ASKED, 'containerd'))?.name, 'cri', order.join(', '));
    assert.equal(changes.at(-1)?.name, 'cri', 'what is told to others');
  }
});

test('an event of a source that knows less does not end a look-up, and counts when nobody knows more', async (t) => {
  const told: ContainerMetadata = { id: ID, runtimeName: 'containerd', name: 'by containerd' };
  const cri = new TestSource('cri', knowsNothing);
  const containerd = new TestSource('containerd', knowsNothing);
  const { directory } = directoryOf(t, [cri, containerd], 150);
  await directory.discover();
  const found = directory.find(ASKED, 'containerd');
  containerd.listener?.changed(told);
  assert.equal((await found)?.name, 'by containerd');
  assert.ok(cri.asked >= 2, 'cri was asked again after the event');
});

test("a user's source is forgotten with its socket, and its failures stay counted; others stay", async (t) => {
  const users = new TestSource('podman', fails);
  const roots = new TestSource('docker', knowsNothing);
  let isThere = true;
  const directory = new RuntimeDirectory({
    settings: OFF,
    waitMs: 40,
    stateSources: [],
    findPlaces: () =>
      Promise.resolve({
        places: isThere
          ? [
              { key: 'podman', make: () => users, isUsers: true },
              { key: 'docker', make: () => roots },
            ]
          : [],
        usersLeftOut: 0,
      }),
    listener: { changed: () => {}, state: () => {} },
  });
  t.after(() => directory.close());
  await directory.discover();
  await directory.find(ASKED, 'podman');
  const { asked } = users;
  const failures = directory.counts.runtime_lookups_failed;
  assert.ok(failures > 0 && asked > 0);
  isThere = false;
  await directory.discover();
  assert.equal(users.isClosed, true);
  assert.equal(roots.isClosed, false, 'a daemon of root that restarts has no socket for a while');
  await directory.find(ASKED, 'podman');
  assert.equal(users.asked, asked, 'nobody asks it any more');
  assert.equal(directory.counts.runtime_lookups_failed, failures);
});

test('users that are too many to look for are counted by the most at once, and told once', async (t) => {
  const told: number[] = [];
  let left = 0;
  const directory = new RuntimeDirectory({
    settings: OFF,
    waitMs: 40,
    stateSources: [],
    findPlaces: () => Promise.resolve(foundOf([], left)),
    listener: { changed: () => {}, state: () => {}, usersLeftOut: (users) => told.push(users) },
  });
  t.after(() => directory.close());
  for (left of [0, 3, 7, 2]) await directory.discover();
  assert.equal(directory.counts.runtime_users_left_out, 7);
  assert.deepEqual(told, [3]);
});

test("one user's groups hold a quarter of the places, and are counted; others go on", async (t) => {
  const released = Promise.withResolvers<null>();
  const asking: string[] = [];
  const source = new TestSource('podman', ({ id, cgroupPath }) => {
    asking.push(id);
    return cgroupPath.startsWith('/user.slice') ? released.promise : Promise.resolve(metadata('web', id));
  });
  const { directory } = directoryOf(t, [source], 1000);
  await directory.discover();
  const users = Array.from({ length: 100 }, (_, index) =>
    directory.find(
      { id: String(index), cgroupPath: `/user.slice/user-1000.slice/user@1000.service/${index}.scope` },
      'podman',
    ),
  );
  assert.equal((await directory.find(ASKED, 'podman'))?.name, 'web');
  assert.deepEqual(asking, ['0', '1', '2', '3', ID]);
  assert.equal(directory.counts.runtime_lookups_held, 96);
  const other = { id: 'other', cgroupPath: '/user.slice/user-1001.slice/user@1001.service/other.scope' };
  const others = directory.find(other, 'podman');
  assert.equal((await directory.find(ASKED, 'podman'))?.name, 'web');
  assert.ok(asking.includes('other'), 'another user has places of their own');
  released.resolve(null);
  assert.deepEqual(new Set(await Promise.all([...users, others])), new Set([null]));
  assert.equal(new Set(asking).size, 102, 'each was asked about in its turn');
});

test('1,000 look-ups at once ask 16 at a time', async (t) => {
  let [now, most] = [0, 0];
  const source = new TestSource('docker', async ({ id }) => {
    most = Math.max(most, (now += 1));
    await delay(1);
    now -= 1;
    return metadata('web', id);
  });
  const { directory } = directoryOf(t, [source]);
  await directory.discover();
  const found = await Promise.all(Array.from({ length: 1000 }, () => directory.find(ASKED, 'docker')));
  assert.ok(found.every((answer) => answer?.name === 'web'));
  assert.equal(most, 16);
});

test('a question that nothing waits for stands behind all others, and its time begins with its turn', async (t) => {
  const released = Promise.withResolvers<null>();
  const asked: string[] = [];
  const source = new TestSource('docker', async ({ id }) => {
    asked.push(id);
    if (id.startsWith('slow')) await released.promise;
    return metadata('web', id);
  });
  const { directory } = directoryOf(t, [source], 300);
  await directory.discover();
  const question = (id: string) => ({ ...ASKED, id });
  const slow = Array.from({ length: 16 }, (_, index) => directory.find(question(`slow${index}`), 'docker'));
  const again = directory.find(question('again'), 'docker', undefined, true);
  const late = Array.from({ length: 20 }, (_, index) => directory.find(question(`new${index}`), 'docker'));
  assert.equal(
    (await Promise.all(slow)).every((answer) => answer === null),
    true,
    'their time is over',
  );
  released.resolve(null);
  await Promise.all(late);
  assert.equal((await again)?.name, 'web', 'it waited for longer than a look-up may take');
  assert.equal(asked.at(-1), 'again');
});

test('a source that fails is paused for its runtime, and tells when it answers again', async (t) => {
  let isBroken = true;
  const source = new TestSource('cri', () =>
    isBroken ? fails(ASKED, t.signal) : Promise.resolve(metadata('web')),
  );
  const { directory, states } = directoryOf(t, [source], 3000);
  await directory.discover();
  const found = directory.find(ASKED, 'containerd');
  const paused = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    if (directory.isPaused('containerd')) paused.resolve();
  }, 5);
  await paused.promise;
  clearInterval(timer);
  assert.equal(directory.isPaused('docker'), true, 'cri knows its containers, too');
  assert.equal(directory.isPaused('lxc'), false);
  isBroken = false;
  assert.equal((await found)?.name, 'web');
  assert.deepEqual(
    states.map(({ isAnswering }) => isAnswering),
    [false, true],
  );
});

test('of 300 look-ups at once, one for a new container does not wait behind the repeats of unknown ones', async (t) => {
  const engine = await startEngineLookalike();
  t.after(() => engine.close());
  const idOf = (index: number): string => index.toString(16).padStart(64, '0');
  const waitMs = 2000;
  const directory = new RuntimeDirectory({
    settings: { ...OFF, docker: [engine.socketPath] },
    waitMs,
    listener: { changed: () => {}, state: () => {} },
  });
  t.after(() => directory.close());
  await directory.discover();
  engine.delayMs = 1;
  engine.containers.set(ID, { name: 'real' });
  const find = (id: string) => directory.find({ id, cgroupPath: `/docker/${id}` }, 'docker');
  const beganMs = performance.now();
  const unknown = Array.from({ length: 300 }, (_, index) => find(idOf(index)));
  assert.equal((await find(ID))?.name, 'real');
  const asked = engine.inspections.length;
  assert.ok(asked <= 301 + 16, `${asked} inspections before its answer`);
  assert.deepEqual(await Promise.all(unknown), Array<null>(300).fill(null));
  assert.ok(performance.now() - beganMs < 2 * waitMs, 'the wait in line is part of the wait');
});

test('a container that went is asked about once more, not for the whole wait', async (t) => {
  const source = new TestSource('docker', knowsNothing);
  const { directory } = directoryOf(t, [source]);
  await directory.discover();
  assert.equal(await directory.find(ASKED, 'docker', () => source.asked < 2), null);
  assert.equal(source.asked, 3);
});

test('a socket that appears while a container is being asked about is found, and asked', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-late-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'docker.sock');
  const places: string[] = [];
  const directory = new RuntimeDirectory({
    settings: OFF,
    waitMs: LONG_MS,
    findPlaces: () =>
      Promise.resolve({
        places: places.map((path) => ({
          key: `docker ${path}`,
          make: () => new EngineSource({ engine: 'docker', path, ownerUid: null }),
        })),
        usersLeftOut: 0,
      }),
    listener: { changed: () => {}, state: () => {} },
  });
  t.after(() => directory.close());
  await directory.discover();
  const found = directory.find(ASKED, 'docker');
  const engine = await startEngineLookalike(socketPath);
  t.after(() => engine.close());
  engine.containers.set(ID, { name: 'late' });
  places.push(socketPath);
  assert.equal((await found)?.name, 'late');
});

for (const behaviour of ['hang', 'garbage', 'half', 'endless', 'close'] as const) {
  test(`an engine that does this: ${behaviour}, costs its own answer only`, async (t) => {
    const engine = await startEngineLookalike();
    t.after(() => engine.close());
    engine.behaviour = behaviour;
    const waitMs = 400;
    const states: string[] = [];
    const state = new TestSource('docker state', knows('by state'));
    const directory = new RuntimeDirectory({
      settings: { ...OFF, docker: [engine.socketPath] },
      waitMs,
      stateSources: [state],
      listener: { changed: () => {}, state: (source) => states.push(source) },
    });
    t.after(() => directory.close());
    await directory.discover();
    for (let count = 0; count < 5; count++) {
      assert.equal((await directory.find(ASKED, 'docker'))?.name, 'by state');
    }
    assert.ok(directory.counts.runtime_lookups_failed >= 1);
    assert.ok(states.every((source) => source.includes(engine.socketPath)));
    const alone = new RuntimeDirectory({
      settings: { ...OFF, docker: [engine.socketPath] },
      waitMs,
      listener: { changed: () => {}, state: () => {} },
    });
    t.after(() => alone.close());
    await alone.discover();
    const beganMs = performance.now();
    assert.equal(await alone.find(ASKED, 'docker'), null);
    assert.ok(performance.now() - beganMs < 2 * waitMs);
  });
}

test('closing answers what is being asked with null, and closes every source', async (t) => {
  const sources = [new TestSource('docker', hangs), new TestSource('podman', knowsNothing)];
  const { directory, states } = directoryOf(t, sources);
  await directory.discover();
  const asked = [
    directory.find(ASKED, 'docker'),
    directory.find(ASKED, 'podman'),
    directory.find(ASKED, 'unknown'),
  ];
  directory.close();
  assert.deepEqual(await Promise.all(asked), [null, null, null]);
  assert.deepEqual(
    sources.map(({ isClosed }) => isClosed),
    [true, true],
  );
  assert.equal(await directory.find(ASKED, 'docker'), null, 'nothing is asked after the end');
  assert.deepEqual(states, [], 'the end is no failure');
  assert.equal(directory.counts.runtime_lookups_failed, 0);
});
