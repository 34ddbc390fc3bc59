// Which sockets of engines are found, on a file system made by the test, and whose they are.
import assert from 'node:assert/strict';
import { chmodSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dockerOfVersion, podmanOfPing } from '../../src/containers/runtimes/engine/engine-version.ts';
import { findSockets, socketCandidates, USERS_MAX } from '../../src/containers/runtimes/socket-paths.ts';
import { userOfGroup } from '../../src/containers/runtimes/user-slice.ts';

interface FakeHost {
  readonly root: string;
  socket(path: string, uid?: number): Promise<void>;
  link(path: string, target: string): void;
}

function fakeHost(t: TestContext): FakeHost {
  const root = mkdtempSync(join(tmpdir(), 'fdspan-host-'));
  chmodSync(root, 0o755);
  const servers: Server[] = [];
  t.after(async () => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(root, { recursive: true });
  });
  return {
    root,
    socket: async (path, uid) => {
      const full = join(root, path);
      mkdirSync(dirname(full), { recursive: true });
      const server = createServer();
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(full, resolve));
      if (uid !== undefined) lchownSync(full, uid, uid);
    },
    link: (path, target) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      symlinkSync(target, join(root, path));
    },
  };
}

const needsRoot = process.getuid?.() === 0 ? false : 'giving a socket to another user needs root';

test("the host's engines come before those of users, and root's own count as the host's", () => {
  assert.deepEqual(
    socketCandidates([0, 1000]).map(({ engine, path, ownerUid }) => `${engine} ${path} ${ownerUid}`),
    [
      'podman /run/podman/podman.sock null',
      'docker /run/docker.sock null',
      'podman /var/run/podman/podman.sock null',
      'docker /var/run/docker.sock null',
      'podman /run/user/0/podman/podman.sock null',
      'docker /run/user/0/docker.sock null',
      'podman /run/user/1000/podman/podman.sock 1000',
      'docker /run/user/1000/docker.sock 1000',
    ],
  );
});

test('each socket is found once, whatever links lead to it; files and dead links are none', async (t) => {
  const host = fakeHost(t);
  await host.socket('/run/podman/podman.sock');
  host.link('/run/docker.sock', 'podman/podman.sock');
  host.link('/var/run', '../run');
  assert.deepEqual(await findSockets(host.root), {
    sockets: [{ engine: 'podman', path: `${host.root}/run/podman/podman.sock`, ownerUid: null }],
    usersLeftOut: 0,
  });
  const other = fakeHost(t);
  other.link('/run/docker.sock', 'nowhere');
  mkdirSync(join(other.root, 'var/run'), { recursive: true });
  writeFileSync(join(other.root, 'var/run/docker.sock'), '');
  assert.deepEqual((await findSockets(other.root)).sockets, []);
});

test("a user's socket counts when it is the user's own, and no link", { skip: needsRoot }, async (t) => {
  const host = fakeHost(t);
  await host.socket('/run/private.sock');
  await host.socket('/run/user/1000/docker.sock', 1000);
  await host.socket('/run/user/1001/docker.sock', 1000);
  await host.socket('/run/user/1002/real.sock', 1002);
  host.link('/run/user/1002/docker.sock', 'real.sock');
  host.link('/run/user/1003/podman/podman.sock', '../../../private.sock');
  host.link('/run/user/1004/podman', '../1000');
  host.link('/run/user/1005', '1000');
  await host.socket('/run/user/name/docker.sock');
  assert.deepEqual((await findSockets(host.root)).sockets, [
    { engine: 'docker', path: `${host.root}/run/user/1000/docker.sock`, ownerUid: 1000 },
  ]);
});

test('more users than are looked at are counted', async (t) => {
  const host = fakeHost(t);
  for (let uid = 1; uid <= USERS_MAX + 3; uid++) {
    mkdirSync(join(host.root, 'run/user', String(uid)), { recursive: true });
  }
  assert.deepEqual(await findSockets(host.root), { sockets: [], usersLeftOut: 3 });
});

test("a control group is a user's below that user's slice only", () => {
  assert.equal(userOfGroup('/user.slice/user-1000.slice/user@1000.service/x.scope'), 1000);
  for (const path of [
    '/user.slice/user-1000.slice',
    '/system.slice/user.slice/user-1000.slice/x',
    '/docker/user.slice/user-1000.slice/x',
    '/machine.slice/user.slice/user-1000.slice/x',
    '/user.slice/user-01000.slice/x',
    '/user.slice/user-0.slice/x',
    '/user.slice/user-4294967296.slice/x',
    '/',
  ]) {
    assert.equal(userOfGroup(path), null, path);
  }
});

/** Versions as docker 20.10 and 29 answer them, and others that could be. */
const dockers: readonly (readonly [newest: string, oldest: string, asked: string])[] = [
  ['1.41', '1.12', '1.41'],
  ['1.52', '1.44', '1.44'],
  ['1.39', '1.12', '1.39'],
  ['1.52', '1.44/../..', '1.41'],
];
for (const [ApiVersion, MinAPIVersion, asked] of dockers) {
  test(`a docker that takes ${MinAPIVersion} to ${ApiVersion} is asked in ${asked}`, () => {
    const engine = dockerOfVersion({ Version: '20.10.24', ApiVersion, MinAPIVersion });
    assert.equal(engine?.dialect.runtimeName, 'docker');
    assert.equal(engine?.runtimeVersion, '20.10.24');
    assert.equal(engine?.apiVersion, asked);
  });
}

test('podman is asked in its own version', () => {
  const versions = [
    ['4.3.1', '4.3.1'],
    ['6.0.0-dev', '6.0.0'],
    ['newest', '4.0.0'],
  ];
  for (const [version, asked] of versions) {
    const engine = podmanOfPing({ 'api-version': '1.41', 'libpod-api-version': version });
    assert.equal(engine?.dialect.runtimeName, 'podman');
    assert.equal(engine?.runtimeVersion, version);
    assert.equal(engine?.apiVersion, asked);
  }
  assert.equal(podmanOfPing({ 'api-version': '1.41' }), null);
});

test('what tells no API version is no engine', () => {
  for (const answer of [null, {}, { Version: '1.0' }, { ApiVersion: 7 }]) {
    assert.equal(dockerOfVersion(answer), null);
  }
});
