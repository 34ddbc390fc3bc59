// Podman's databases, read without podman. The BoltDB file was made by bbolt 1.3.6 (Go): a bucket `ctr` of 60 containers over
// two pages, each a bucket with `config`, `state` and an empty bucket, the configs in the page, in one and in several pages.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chown, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { BoltError, readBoltValue } from '../../src/containers/runtimes/state/bolt-file.ts';
import { podmanState } from '../../src/containers/runtimes/podman-state.ts';

const BOLT = gunzipSync(readFileSync(join(import.meta.dirname, '../helpers/data/bolt-containers.db.gz')));
const CONTAINERS = 60;
const patience = (): AbortSignal => AbortSignal.timeout(10_000);
const isRoot = process.getuid?.() === 0;

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-state-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** As the file's maker numbered them. */
function boltId(index: number): string {
  const number = (BigInt(index) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
  return number.toString(16).padStart(64, '0');
}

async function readValue(path: string, keys: readonly string[]): Promise<string | null> {
  const file = await open(path);
  try {
    return (await readBoltValue({ file, mayRead: () => true }, keys))?.toString() ?? null;
  } finally {
    await file.close();
  }
}

test('BoltDB: each container is found, in whatever page it is; what is no value is not', async (t) => {
  const path = join(await folderFor(t), 'bolt.db');
  await writeFile(path, BOLT);
  for (let index = 0; index < CONTAINERS; index++) {
    const padding = 'x'.repeat((index % 3) * (index % 3) * 2500);
    const expected = { id: boltId(index), name: `c${index}`, pad: padding };
    const found = await readValue(path, ['ctr', boltId(index), 'config']);
    assert.deepEqual(JSON.parse(found ?? ''), expected);
  }
  for (const keys of [
    ['ctr'],
    ['ctr', boltId(1)],
    ['ctr', boltId(1), 'none'],
    ['ctr', boltId(1), 'dependencies'],
    ['ctr', boltId(1), 'config', 'deeper'],
    ['ctr', boltId(CONTAINERS), 'config'],
    ['', 'x'],
    ['zzz', 'x'],
  ]) {
    assert.equal(await readValue(path, keys), null, keys.join(' '));
  }
});

test('BoltDB: the newer meta page that is whole counts', async (t) => {
  const path = join(await folderFor(t), 'bolt.db');
  const last = boltId(CONTAINERS - 1);
  const newest = BOLT.readBigUInt64LE(16 + 48) > BOLT.readBigUInt64LE(4096 + 16 + 48) ? 0 : 4096;
  await writeFile(path, BOLT);
  assert.notEqual(await readValue(path, ['ctr', last, 'config']), null);
  const torn = Buffer.from(BOLT);
  torn[newest + 16 + 20] ^= 1;
  await writeFile(path, torn);
  assert.equal(await readValue(path, ['ctr', last, 'config']), null, 'the transaction before had ten less');
  assert.notEqual(await readValue(path, ['ctr', boltId(0), 'config']), null);
  torn[4096 - newest + 16 + 20] ^= 1;
  await writeFile(path, torn);
  await assert.rejects(readValue(path, ['ctr', last, 'config']), BoltError);
});

test('BoltDB: a file damaged anywhere gives a value, nothing or a BoltError, soon', async (t) => {
  const path = join(await folderFor(t), 'bolt.db');
  let seed = 1;
  const random = (max: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * max);
  };
  let errors = 0;
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(BOLT);
    const cut = round % 8 === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
    // Not the meta pages: their checksum would refuse all.
    const words = Math.max(0, Math.floor((cut.length - 8192) / 8) - 1);
    for (let i = 0; i < 2000 && words > 0; i++) {
      const at = 8192 + random(words) * 8;
      cut.writeUInt32LE([0, 1, 0xffffffff, random(2 ** 32), random(256)][random(5)], at + 4 * random(2));
    }
    await writeFile(path, cut);
    await readValue(path, ['ctr', boltId(round % CONTAINERS), 'config']).catch((error: unknown) => {
      assert.ok(error instanceof BoltError, String(error));
      errors++;
    });
  }
  assert.ok(errors > 50, `${errors} of 400 were noticed`);
});

test('BoltDB: a value that would end behind its page is damage, not a shorter value', async (t) => {
  const path = join(await folderFor(t), 'bolt.db');
  const bytes = Buffer.from(BOLT);
  for (let page = 2 * 4096; page < bytes.length; page += 4096) {
    const [isLeaf, count] = [bytes.readUInt16LE(page + 8) === 2, bytes.readUInt16LE(page + 10)];
    for (let i = 0; isLeaf && i < count; i++) bytes.writeUInt32LE(0x7fffffff, page + 16 + i * 16 + 12);
  }
  await writeFile(path, bytes);
  await assert.rejects(readValue(path, ['ctr', boltId(1), 'config']), /ends behind its page/);
});

test('BoltDB: a page that is its own child ends', async (t) => {
  const path = join(await folderFor(t), 'bolt.db');
  const bytes = Buffer.from(BOLT);
  for (let page = 2; page < bytes.length / 4096; page++) {
    bytes.writeUInt16LE(1, page * 4096 + 8);
    bytes.writeUInt16LE(1, page * 4096 + 10);
    bytes.writeUInt32LE(0, page * 4096 + 12);
    bytes.writeUInt32LE(16, page * 4096 + 16);
    bytes.writeUInt32LE(0, page * 4096 + 20);
    bytes.writeBigUInt64LE(BigInt(page), page * 4096 + 24);
  }
  await writeFile(path, bytes);
  await assert.rejects(readValue(path, ['ctr', boltId(1), 'config']), /deeper/);
});

const ID = 'b2'.repeat(32);

/** Podman's table, and its storage's list with the container in the list of those made with `--rm`. */
async function makeStorage(t: TestContext): Promise<{ graphRoot: string; runRoot: string }> {
  const folder = await folderFor(t);
  const storage = { graphRoot: join(folder, 'graph'), runRoot: join(folder, 'run') };
  await mkdir(join(storage.graphRoot, 'overlay-containers'), { recursive: true });
  const metadata = JSON.stringify({ 'image-name': 'localhost/web:1', name: 'web' });
  const list = [null, 7, { id: 7 }, { id: ID, names: [7], metadata }];
  const path = join(storage.graphRoot, 'overlay-containers/volatile-containers.json');
  await writeFile(path, JSON.stringify(list));
  return storage;
}

function createTable(graphRoot: string): DatabaseSync {
  const database = new DatabaseSync(join(graphRoot, 'db.sql'));
  const columns = 'ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, PodID TEXT, JSON TEXT NOT NULL';
  database.exec(`CREATE TABLE ContainerConfig(${columns})`);
  return database;
}

test(
  'SQLite: labels and OCI runtime come from the row, as text or as bytes',
  { skip: !isRoot && 'needs root' },
  async (t) => {
    const settings = JSON.stringify({
      labels: { team: 'blue' },
      runtime: '/usr/bin/crun',
      spec: { process: { env: ['OTEL_SERVICE_NAME=shop'] } },
    });
    for (const json of [settings, Buffer.from(settings)]) {
      const storage = await makeStorage(t);
      const database = createTable(storage.graphRoot);
      database.prepare('INSERT INTO ContainerConfig VALUES (?, ?, NULL, ?)').run(ID, 'web', json);
      const source = podmanState({ storages: [{ ...storage, ownerUid: 0 }] });
      const question = { id: ID, cgroupPath: `/machine.slice/libpod-${ID}.scope` };
      const expected = {
        id: ID,
        runtimeName: 'podman',
        ociRuntime: 'crun',
        name: 'web',
        imageName: 'localhost/web',
        imageTags: ['1'],
        labels: new Map([['team', 'blue']]),
        serviceName: 'shop',
      };
      assert.deepEqual(await source.find(question, patience()), expected);
      // A writer holds the lock: half an answer would be kept, so there is none.
      database.exec('BEGIN EXCLUSIVE');
      await assert.rejects(source.find(question, patience()), { errcode: 5 });
      const waiting = source.find(question, patience());
      await delay(30);
      database.exec('COMMIT');
      assert.deepEqual(await waiting, expected);
      database.close();
    }
  },
);

test('SQLite: a damaged database leaves name and image', { skip: !isRoot && 'needs root' }, async (t) => {
  const storage = await makeStorage(t);
  await writeFile(join(storage.graphRoot, 'db.sql'), Buffer.alloc(8192, 7));
  const source = podmanState({ storages: [{ ...storage, ownerUid: 0 }] });
  const found = await source.find({ id: ID, cgroupPath: '/x' }, patience());
  assert.equal(found?.name, 'web');
  assert.equal(found.imageName, 'localhost/web');
});

test(
  "SQLite: a user's database isn't opened: a view in it could run for ever",
  { skip: !isRoot && 'needs root' },
  async (t) => {
    const uid = 54321;
    const storage = await makeStorage(t);
    const database = new DatabaseSync(join(storage.graphRoot, 'db.sql'));
    const endless = 'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n';
    database.exec(`CREATE VIEW ContainerConfig AS SELECT '${ID}' AS ID, (${endless}) AS JSON`);
    database.close();
    for (const path of ['db.sql', 'overlay-containers/volatile-containers.json']) {
      await chown(join(storage.graphRoot, path), uid, uid);
    }
    const source = podmanState({ storages: [{ ...storage, ownerUid: uid }] });
    const found = await source.find({ id: ID, cgroupPath: '/x' }, patience());
    assert.equal(found?.name, 'web');
    assert.equal(found.labels?.size, 0);
  },
);
