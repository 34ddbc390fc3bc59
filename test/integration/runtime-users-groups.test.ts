// Groups that users make: one may have the name of anybody's container, so root's runtimes must say nothing of it, and
// the user's own must go on to be asked. Lookalikes on sockets, and state files as the runtimes write them.
import assert from 'node:assert/strict';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { RuntimeDirectory } from '../../src/containers/runtime-directory.ts';
import { findPlaces, type RuntimeSettings } from '../../src/containers/runtime-sources.ts';
import { containerdState } from '../../src/containers/runtimes/containerd-state.ts';
import { ContainerdSource } from '../../src/containers/runtimes/containerd.ts';
import { CriSource } from '../../src/containers/runtimes/cri.ts';
import { crunState } from '../../src/containers/runtimes/crun-state.ts';
import { dockerState } from '../../src/containers/runtimes/docker-state.ts';
import { lxcState } from '../../src/containers/runtimes/lxc-state.ts';
import { nspawnState } from '../../src/containers/runtimes/nspawn-state.ts';
import { podmanState } from '../../src/containers/runtimes/podman-state.ts';
import { runcState } from '../../src/containers/runtimes/runc-state.ts';
import type { RuntimeSource } from '../../src/containers/runtimes/runtime-source.ts';
import type { StateFolder } from '../../src/containers/runtimes/state/state-file.ts';
import { startEngineLookalike, type EngineLookalike } from '../helpers/engine-lookalike.ts';
import { startUnixServer } from '../helpers/unix-server.ts';

const ID = 'b2'.repeat(32);
const USER = 1000;
const SLICE = `/user.slice/user-${USER}.slice/user@${USER}.service`;
/** A name that root's docker gives, in a group of the user. */
const COPIED = { id: ID, cgroupPath: `${SLICE}/docker-${ID}.scope` };
const ROOTS = { id: ID, cgroupPath: `/system.slice/docker-${ID}.scope` };
const OFF: RuntimeSettings = { docker: [], podman: [], containerd: [], cri: [], state: false };
/** Each look-up of a container that nobody knows takes it whole. */
const WAIT_MS = 120;
const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'files of two users need root';

const patience = (): AbortSignal => AbortSignal.timeout(10_000);

async function engineOf(t: TestContext, ownerUid: number): Promise<EngineLookalike> {
  const engine = await startEngineLookalike();
  t.after(() => engine.close());
  engine.containers.set(ID, { name: 'billing', labels: { team: 'payments' } });
  await chown(engine.socketPath, ownerUid, ownerUid);
  return engine;
}

async function directoryOf(t: TestContext, settings: Partial<RuntimeSettings>): Promise<RuntimeDirectory> {
  const directory = new RuntimeDirectory({
    settings: { ...OFF, ...settings },
    waitMs: WAIT_MS,
    listener: { changed: () => {}, state: () => {} },
  });
  t.after(() => directory.close());
  await directory.discover();
  return directory;
}

test(
  "root's docker isn't asked about a user's group that has the id of its container",
  { skip: NEEDS_ROOT },
  async (t) => {
    const engine = await engineOf(t, 0);
    const directory = await directoryOf(t, { docker: [engine.socketPath] });
    for (const runtime of ['docker', 'podman', 'unknown'])
      assert.equal(await directory.find(COPIED, runtime), null, runtime);
    assert.deepEqual(engine.inspections, []);
    assert.equal((await directory.find(ROOTS, 'docker'))?.name, 'billing');
    const ofRootsSession = {
      id: ID,
      cgroupPath: `/user.slice/user-0.slice/user@0.service/docker-${ID}.scope`,
    };
    assert.equal((await directory.find(ofRootsSession, 'docker'))?.name, 'billing');
  },
);

test(
  "events of root's docker end no look-up of a user's group, and wait for the container that they tell of",
  { skip: NEEDS_ROOT },
  async (t) => {
    const engine = await engineOf(t, 0);
    const told = Promise.withResolvers<void>();
    const directory = new RuntimeDirectory({
      settings: OFF,
      waitMs: WAIT_MS,
      findPlaces: () => findPlaces({ ...OFF, docker: [engine.socketPath] }),
      listener: { changed: () => told.resolve(), state: () => {} },
    });
    t.after(() => directory.close());
    await directory.discover();
    await engine.followed();
    const meanwhile = directory.find(COPIED, 'docker');
    engine.tell(ID);
    await told.promise;
    assert.equal(await meanwhile, null, 'told while it was being asked about');
    assert.equal(await directory.find(COPIED, 'docker'), null, 'told before');
    const asked = engine.inspections.length;
    assert.equal((await directory.find(ROOTS, 'docker'))?.name, 'billing');
    assert.equal(engine.inspections.length, asked, 'the news was kept for it');
  },
);

test(
  "a socket that the configuration names is asked about its owner's groups, and of no other user's",
  { skip: NEEDS_ROOT },
  async (t) => {
    const engine = await engineOf(t, USER);
    const directory = await directoryOf(t, { docker: [engine.socketPath] });
    assert.equal((await directory.find(COPIED, 'docker'))?.name, 'billing');
    const others = { id: ID, cgroupPath: COPIED.cgroupPath.replaceAll(String(USER), '1001') };
    assert.equal(await directory.find(others, 'docker'), null);
    const labels = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`l${i}`, 'x'.repeat(50)]));
    engine.containers.set(ID, { name: 'billing', labels });
    assert.equal(await directory.find(COPIED, 'docker'), null, 'held to what is read of a user');
  },
);

test("root's CRI and containerd aren't even connected to for a user's group", async (t) => {
  const server = await startUnixServer((socket) => socket.destroy());
  t.after(() => server.close());
  for (const source of [new CriSource(server.socketPath), new ContainerdSource(server.socketPath)]) {
    t.after(() => source.close());
    const copied = { id: ID, cgroupPath: `${SLICE}/cri-containerd-${ID}.scope` };
    assert.equal(await source.find(copied, patience()), null, source.name);
  }
  assert.equal(server.connections.max, 0);
});

interface StateOfRoot {
  readonly name: string;
  readonly id: string;
  /** Of root's container, and of the user's that is called after it. */
  readonly group: string;
  readonly copy: string;
  readonly files: Readonly<Record<string, unknown>>;
  readonly source: (folder: StateFolder) => RuntimeSource;
}

const only = (folder: StateFolder) => ({ folders: [folder] });
const STATES: readonly StateOfRoot[] = [
  {
    name: 'docker',
    id: ID,
    group: ROOTS.cgroupPath,
    copy: COPIED.cgroupPath,
    files: { [`containers/${ID}/config.v2.json`]: { ID, Name: '/billing', Config: {} } },
    source: (folder) => dockerState(only(folder)),
  },
  {
    name: 'podman',
    id: ID,
    group: `/machine.slice/libpod-${ID}.scope`,
    copy: `${SLICE}/user.slice/libpod-${ID}.scope`,
    files: { 'overlay-containers/containers.json': [{ id: ID, names: ['billing'] }] },
    source: ({ path, ownerUid }) =>
      podmanState({ storages: [{ graphRoot: path, runRoot: `${path}/run`, ownerUid }] }),
  },
  {
    name: 'containerd by the systemd driver',
    id: ID,
    group: `/system.slice/cri-containerd-${ID}.scope`,
    copy: `${SLICE}/cri-containerd-${ID}.scope`,
    files: {
      [`io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`]: {
        linux: { cgroupsPath: `system.slice:cri-containerd:${ID}` },
      },
    },
    source: (folder) => containerdState(only(folder)),
  },
  {
    name: 'lxc',
    id: 'web',
    group: '/lxc.payload.web',
    copy: `${SLICE}/lxc.payload.web`,
    files: { 'web/config': {} },
    source: (folder) => lxcState(only(folder)),
  },
  {
    name: 'systemd-nspawn',
    id: 'web',
    group: '/machine.slice/systemd-nspawn@web.service',
    copy: `${SLICE}/app.slice/systemd-nspawn@web.service`,
    files: { 'propagate/web/made': {} },
    source: ({ path }) =>
      nspawnState({ machines: `${path}/machines`, propagate: `${path}/propagate`, settings: [] }),
  },
  {
    name: 'runc without groups',
    id: ID,
    group: ROOTS.cgroupPath,
    copy: COPIED.cgroupPath,
    files: { [`${ID}/state.json`]: { id: ID, cgroup_paths: {}, config: {} } },
    source: (folder) => runcState(only(folder)),
  },
  {
    name: 'crun without groups',
    id: ID,
    group: ROOTS.cgroupPath,
    copy: COPIED.cgroupPath,
    files: { [`${ID}/status`]: { 'cgroup-path': '' } },
    source: (folder) => crunState(only(folder)),
  },
];

async function stateFolder(t: TestContext, { files }: StateOfRoot, ownerUid: number): Promise<StateFolder> {
  const path = await mkdtemp(join(tmpdir(), 'fdspan-users-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const file = join(path, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, JSON.stringify(content));
    await chown(file, ownerUid, ownerUid);
  }
  return { path, ownerUid };
}

for (const state of STATES) {
  test(`root's state of ${state.name} says nothing of a user's group`, { skip: NEEDS_ROOT }, async (t) => {
    const source = state.source(await stateFolder(t, state, 0));
    t.after(() => source.close());
    const { id } = state;
    assert.equal((await source.find({ id, cgroupPath: state.group }, patience()))?.id, id);
    assert.equal(await source.find({ id, cgroupPath: state.copy }, patience()), null);
  });

  // Of these the state is root's alone.
  if (/^(?:systemd-nspawn|containerd)/.test(state.name)) continue;
  test(
    `a user's own state of ${state.name} counts in that user's groups`,
    { skip: NEEDS_ROOT },
    async (t) => {
      const source = state.source(await stateFolder(t, state, USER));
      t.after(() => source.close());
      const { id, copy } = state;
      assert.equal((await source.find({ id, cgroupPath: copy }, patience()))?.id, id);
      const others = copy.replaceAll(String(USER), '1001');
      assert.equal(await source.find({ id, cgroupPath: others }, patience()), null);
    },
  );
}

test(
  "root's runc state counts in a user's slice where it names that very group",
  { skip: NEEDS_ROOT },
  async (t) => {
    // `sudo runc run` in a session of the user: runc puts the container beside the session's group.
    const group = `/user.slice/user-${USER}.slice/web`;
    const files = { 'web/state.json': { cgroup_paths: { '': `/sys/fs/cgroup${group}` }, config: {} } };
    const path = await stateFolder(t, { ...STATES[5], files }, 0);
    const source = runcState(only(path));
    t.after(() => source.close());
    assert.equal((await source.find({ id: 'web', cgroupPath: group }, patience()))?.name, 'web');
    assert.equal(await source.find({ id: 'web', cgroupPath: `${SLICE}/web` }, patience()), null);
  },
);

test('lxc and nspawn of the host say nothing of a namesake in another container', async (t) => {
  for (const state of STATES.filter(({ id }) => id === 'web')) {
    const source = state.source(await stateFolder(t, state, process.getuid?.() ?? 0));
    t.after(() => source.close());
    const nested = { id: 'web', cgroupPath: `/lxc.payload.tenant${state.group}`, isNested: true };
    assert.equal(await source.find(nested, patience()), null, state.name);
  }
});
