// What a user's runtimes may cost the main thread: files and lists of any size, read as often as the user makes groups.
import assert from 'node:assert/strict';
import { chown, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { podmanState, type PodmanStorage } from '../../src/containers/runtimes/podman-state.ts';
import { readStateFile } from '../../src/containers/runtimes/state/state-file.ts';
import {
  USER_ANSWER_BYTES_MAX,
  USER_BYTES_PER_SECOND_MAX,
  UserBytes,
  userBytes,
} from '../../src/containers/runtimes/user-bytes.ts';

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'files of two users need root';
const ID = 'a1'.repeat(32);
const patience = (): AbortSignal => AbortSignal.timeout(10_000);
const groupOf = (uid: number): string =>
  `/user.slice/user-${uid}.slice/user@${uid}.service/user.slice/libpod-${ID}.scope`;

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-bytes-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a second holds so many bytes of a user; other users and root have their own', () => {
  const bytes = new UserBytes();
  const half = USER_BYTES_PER_SECOND_MAX / 2;
  assert.deepEqual(
    [0, 1, 2, 999].map((nowMs) => bytes.take(1000, half, nowMs)),
    [true, true, false, false],
  );
  assert.equal(bytes.refused, 2);
  assert.equal(bytes.take(1001, half, 999), true);
  assert.equal(bytes.take(0, 100 * half, 999), true);
  assert.equal(bytes.take(1000, half, 1000), true, 'the next second');
  assert.equal(bytes.take(1000, 2 * half, 5000), true);
  assert.equal(bytes.take(1000, 1, 5001), false);
});

test('of 5,000 users at once each may have a mebibyte read, and no more', () => {
  const bytes = new UserBytes();
  for (let uid = 1; uid <= 5000; uid++) {
    assert.equal(bytes.take(uid, USER_BYTES_PER_SECOND_MAX, 0), true);
    assert.equal(bytes.take(uid, 1, 1), false);
  }
});

test(
  "a user's file is refused from 256 KiB on, and counted; root's is read",
  { skip: NEEDS_ROOT },
  async (t) => {
    const path = Buffer.from(join(await folderFor(t), 'file'));
    await writeFile(path, Buffer.alloc(USER_ANSWER_BYTES_MAX + 1));
    assert.equal((await readStateFile(path, 0, patience()))?.length, USER_ANSWER_BYTES_MAX + 1);
    await chown(path, 1002, 1002);
    const before = userBytes.refused;
    await assert.rejects(readStateFile(path, 1002, patience()), { code: 'FDSPAN_STATE_TOO_LARGE' });
    assert.equal(userBytes.refused, before + 1);
    await writeFile(path, Buffer.alloc(USER_ANSWER_BYTES_MAX));
    assert.equal((await readStateFile(path, 1002, patience()))?.length, USER_ANSWER_BYTES_MAX);
  },
);

test(
  "a user's files are read a mebibyte a second, however many are asked for",
  { skip: NEEDS_ROOT },
  async (t) => {
    const path = Buffer.from(join(await folderFor(t), 'file'));
    await writeFile(path, Buffer.alloc(USER_ANSWER_BYTES_MAX));
    await chown(path, 1003, 1003);
    const before = userBytes.refused;
    const beganMs = performance.now();
    const reads = await Promise.allSettled(
      Array.from({ length: 100 }, () => readStateFile(path, 1003, patience())),
    );
    const seconds = 1 + Math.ceil((performance.now() - beganMs) / 1000);
    const done = reads.filter(({ status }) => status === 'fulfilled').length;
    assert.ok(done >= 4 && done <= 4 * seconds, `${done} reads of a quarter of a mebibyte in ${seconds} s`);
    assert.equal(userBytes.refused, before + 100 - done);
    for (const read of reads)
      if (read.status === 'rejected')
        assert.equal((read.reason as { code: string }).code, 'FDSPAN_STATE_TOO_MANY');
  },
);

/** Always of one size and time: only a list that is no longer kept parsed is read again. */
async function writeList(storage: PodmanStorage, name: string): Promise<void> {
  const path = join(storage.graphRoot, 'overlay-containers/containers.json');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify([{ id: ID, names: [name] }]));
  await chown(path, storage.ownerUid, storage.ownerUid);
  await utimes(path, 1_700_000_000, 1_700_000_000);
}

test("lists of users drive out the oldest of theirs, and none of root's", { skip: NEEDS_ROOT }, async (t) => {
  const folder = await folderFor(t);
  const storageOf = (uid: number): PodmanStorage => ({
    graphRoot: join(folder, String(uid)),
    runRoot: join(folder, `${uid}/run`),
    ownerUid: uid,
  });
  const users = Array.from({ length: 33 }, (_, index) => 2000 + index);
  const storages = [0, ...users].map(storageOf);
  const source = podmanState({ storages });
  t.after(() => source.close());
  const nameOf = async (uid: number): Promise<string | undefined> => {
    const cgroupPath = uid === 0 ? `/machine.slice/libpod-${ID}.scope` : groupOf(uid);
    return (await source.find({ id: ID, cgroupPath }, patience()))?.name;
  };
  for (const storage of storages) await writeList(storage, 'first');
  for (const uid of [0, ...users]) assert.equal(await nameOf(uid), 'first');
  for (const storage of storages) await writeList(storage, 'other');
  assert.equal(await nameOf(0), 'first', 'still the list as it was parsed');
  assert.equal(await nameOf(2001), 'first');
  assert.equal(await nameOf(2032), 'first');
  assert.equal(await nameOf(2000), 'other', 'the 33rd drove it out');
});
