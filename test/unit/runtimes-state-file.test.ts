// State files that no runtime would write: what they hold is chosen by containers and users.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dockerState } from '../../src/containers/runtimes/docker-state.ts';
import { lxcState } from '../../src/containers/runtimes/lxc-state.ts';
import { ANSWER_BYTES_MAX, LABEL_BYTES_MAX } from '../../src/containers/runtimes/runtime-source.ts';
import { readStateFile, readStateJson, statePath } from '../../src/containers/runtimes/state/state-file.ts';
import { foldersFor } from '../../src/containers/runtimes/state/state-source.ts';
import { userFoldersOf, type UserFolders } from '../../src/containers/runtimes/state/user-folders.ts';
import { untilAborted } from '../../src/containers/runtimes/until-aborted.ts';
import { userOfGroup } from '../../src/containers/runtimes/user-slice.ts';

const OWN = process.getuid?.() ?? 0;
const ID = 'a1'.repeat(32);
const patience = (): AbortSignal => AbortSignal.timeout(10_000);

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-state-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function refusal(name: string): { code: string } {
  return { code: `FDSPAN_STATE_${name}` };
}

test('what is not there is no error', async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, 'file'), '');
  assert.equal(await readStateFile(Buffer.from(`${folder}/none`), OWN, patience()), null);
  assert.equal(await readStateFile(Buffer.from(`${folder}/none/state.json`), OWN, patience()), null);
  assert.equal(await readStateFile(Buffer.from(`${folder}/file/state.json`), OWN, patience()), null);
});

test('a link, a pipe and a folder are refused, without waiting for a writer', async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, 'file'), '{}');
  await symlink(join(folder, 'file'), join(folder, 'link'));
  await mkdir(join(folder, 'folder'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  for (const name of ['link', 'folder', 'pipe']) {
    const read = readStateFile(Buffer.from(join(folder, name)), OWN, patience());
    await assert.rejects(read, refusal('NOT_REGULAR'), name);
  }
});

test("another user's file is refused: a user could link to what only root may read", async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, 'file'), '{}');
  const read = readStateFile(Buffer.from(join(folder, 'file')), OWN + 1, patience());
  await assert.rejects(read, refusal('WRONG_OWNER'));
});

test('an endless file is refused before it is read', async (t) => {
  const path = join(await folderFor(t), 'file');
  await writeFile(path, '{}');
  await truncate(path, 2 ** 40);
  await assert.rejects(readStateFile(Buffer.from(path), OWN, patience()), refusal('TOO_LARGE'));
  await truncate(path, ANSWER_BYTES_MAX);
  assert.equal((await readStateFile(Buffer.from(path), OWN, patience()))?.length, ANSWER_BYTES_MAX);
});

test('half a file and other JSON than an object are damage; the whole file then is read', async (t) => {
  const path = join(await folderFor(t), 'file');
  for (const text of ['', '{"id":"a', '[]', '"text"', '7', 'null', '\0\0\0', '{}{}']) {
    await writeFile(path, text);
    await assert.rejects(readStateJson(Buffer.from(path), OWN, patience()), refusal('DAMAGED'), text);
  }
  await writeFile(path, '{"id":"a"}');
  assert.deepEqual(await readStateJson(Buffer.from(path), OWN, patience()), { id: 'a' });
});

test('an id that could leave the folder, or is no name of a file, names nothing', () => {
  for (const id of ['', '.', '..', '../x', 'a/b', '/etc/passwd', 'a\0b', 'x'.repeat(256)]) {
    assert.equal(statePath('/run/x', id, 'state.json'), null, JSON.stringify(id));
  }
  assert.equal(statePath('/run/x', 'web', 'state.json')?.toString(), '/run/x/web/state.json');
});

test('a name of other bytes than ASCII is found by the bytes of its group', async (t) => {
  const folder = await folderFor(t);
  await mkdir(join(folder, 'café'));
  await writeFile(join(folder, 'café', 'config'), 'lxc.environment = OTEL_SERVICE_NAME=é\n');
  const id = Buffer.from('café').toString('latin1');
  const source = lxcState({ folders: [{ path: folder, ownerUid: OWN }] });
  const found = await source.find({ id, cgroupPath: `/lxc.payload.${id}` }, patience());
  assert.equal(found?.name, 'café');
  assert.equal(found.serviceName, 'é');
});

test("a deadline ends a wait for a file system that doesn't answer; a closed source rejects", async (t) => {
  const never = new Promise<never>(() => undefined);
  await assert.rejects(untilAborted(never, AbortSignal.timeout(5)), { name: 'TimeoutError' });
  await assert.rejects(untilAborted(never, AbortSignal.abort(new Error('late'))), { message: 'late' });
  const source = lxcState({ folders: [{ path: await folderFor(t), ownerUid: OWN }] });
  const pending = source.find({ id: 'a', cgroupPath: '/a' }, patience());
  source.close();
  await assert.rejects(pending, { message: 'lxc state is closed' });
  await assert.rejects(source.find({ id: 'a', cgroupPath: '/a' }, patience()), /closed/);
});

async function findInDocker(t: TestContext, config: string | Buffer): Promise<unknown> {
  const folder = await folderFor(t);
  await mkdir(join(folder, 'containers', ID), { recursive: true });
  await writeFile(join(folder, 'containers', ID, 'config.v2.json'), config);
  const source = dockerState({ folders: [{ path: folder, ownerUid: OWN }] });
  return source.find({ id: ID, cgroupPath: `/docker/${ID}` }, patience());
}

test('ten thousand labels and a label of 1 MiB are kept up to the limit', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`label-${i}`, 'x'.repeat(20)]));
  for (const Labels of [many, { small: 'kept', large: 'x'.repeat(1 << 20), after: 'y' }]) {
    const found = (await findInDocker(t, JSON.stringify({ Config: { Labels } }))) as {
      labels: Map<string, string>;
    };
    const bytes = [...found.labels].reduce((sum, [key, value]) => sum + key.length + value.length, 0);
    assert.ok(found.labels.size > 0 && bytes <= LABEL_BYTES_MAX, `${bytes} bytes`);
  }
});

test('numbers, lists and nothing where text should be, names too long, bytes that are no UTF-8', async (t) => {
  const minimal = { id: ID, runtimeName: 'docker', labels: new Map() };
  for (const value of [7, null, [], {}, true, '', 'x'.repeat(1 << 20)]) {
    const config = { Image: value, Labels: { a: typeof value === 'string' ? 1 : value }, Env: value };
    assert.deepEqual(await findInDocker(t, JSON.stringify({ Name: value, Config: config })), minimal);
    assert.deepEqual(await findInDocker(t, JSON.stringify({ Name: value, Config: value })), minimal);
  }
  const bytes = Buffer.from(
    '{"Name":"/w\xff\xfeb","Config":{"Labels":{"\xff":"\xfe","__proto__":"p"}}}',
    'latin1',
  );
  assert.deepEqual(await findInDocker(t, bytes), {
    ...minimal,
    name: 'w\ufffd\ufffdb',
    labels: new Map([
      ['\ufffd', '\ufffd'],
      ['__proto__', 'p'],
    ]),
  });
});

test("a group's user is told by systemd's slice only, and its home by passwd", async (t) => {
  const scope = '/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-x.scope';
  assert.equal(userOfGroup(scope), 1000);
  for (const path of ['/machine.slice/user.slice/user-1000.slice/x', '/user.slice/user-0.slice/x', '/x']) {
    assert.equal(userOfGroup(path), null, path);
  }
  if (OWN !== 0) return;
  const passwd = join(await folderFor(t), 'passwd');
  await writeFile(passwd, 'root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:::\n');
  const folders = await userFoldersOf(scope, patience(), Buffer.from(passwd));
  assert.deepEqual(folders, {
    uid: 1000,
    home: { path: '/home/ann', ownerUid: 1000 },
    runtime: { path: '/run/user/1000', ownerUid: 1000 },
  });
  const homeless = scope.replaceAll('1000', '1001');
  assert.equal(await userFoldersOf(homeless, patience(), Buffer.from(passwd)), null);
});

test("a user's group is looked for in the user's folders, in root's only where these name groups; any other in root's", async () => {
  const passwd = spawnSync('getent', ['passwd', '1'], { encoding: 'utf8' }).stdout.split(':');
  const choice = {
    given: undefined,
    ofRoot: ['/run/crun'],
    ofUser: (user: UserFolders) => [`${user.runtime.path}/crun`, `${user.home.path}/x`],
  };
  const root = { path: '/run/crun', ownerUid: 0 };
  const own = { id: 'a', cgroupPath: '/user.slice/user-1.slice/user@1.service/user.slice/libpod-a.scope' };
  const users = [
    { path: '/run/user/1/crun', ownerUid: 1 },
    { path: `${passwd[5]}/x`, ownerUid: 1 },
  ];
  assert.deepEqual(await foldersFor(own, patience(), choice), users);
  assert.deepEqual(await foldersFor(own, patience(), { ...choice, namesGroup: true }), [...users, root]);
  const other = { id: 'a', cgroupPath: '/machine.slice/libpod-a.scope' };
  assert.deepEqual(await foldersFor(other, patience(), choice), [root]);
  const given = [
    { path: '/given', ownerUid: 5 },
    { path: '/own', ownerUid: 1 },
  ];
  assert.deepEqual(await foldersFor(own, patience(), { ...choice, given }), given.slice(1));
  assert.deepEqual(await foldersFor(other, patience(), { ...choice, given }), given);
});

test('what one folder holds damaged does not hide what another knows', async (t) => {
  const [bad, good] = [await folderFor(t), await folderFor(t)];
  await mkdir(join(bad, 'a', 'config'), { recursive: true });
  await mkdir(join(good, 'a'));
  const folders = [bad, good].map((path) => ({ path, ownerUid: OWN }));
  const question = { id: 'a', cgroupPath: '/lxc.payload.a' };
  await assert.rejects(lxcState({ folders }).find(question, patience()), refusal('NOT_REGULAR'));
  await writeFile(join(good, 'a', 'config'), '');
  assert.equal((await lxcState({ folders }).find(question, patience()))?.name, 'a');
});

test('work that fails after its deadline had passed is no failure of the process', async () => {
  // A rejection that nobody handles would end this test's process, and the collector.
  const failing = Promise.reject(new Error('no such file'));
  await assert.rejects(untilAborted(failing, AbortSignal.abort(new Error('too late'))), /too late/);
  await new Promise((resolve) => setImmediate(resolve));
});
