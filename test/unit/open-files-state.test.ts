// The state file: what was written is read, and nothing that is damaged, foreign or of another boot is believed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import {
  readBootId,
  readStateFile,
  STATE_ENTRIES_MAX,
  writeStateFile,
} from '../../src/open-files/state-file.ts';

interface Entry {
  readonly identity: bigint;
  readonly openedBootNs: bigint;
  readonly reportedBootNs: bigint;
  readonly slotIndex: number;
  readonly isAdopted: boolean;
}

const KEY = 0x1234_5678_9abc_def0n;
const BOOT = { id: randomBytes(16), nowBootNs: 5_000_000_000n };
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fdspan-state-'));
  path = join(folder, 'run/open-times.state');
});

afterEach(() => rmSync(folder, { recursive: true }));

function entry(number: number): Entry {
  return {
    // The low bits are the same for all: they meet in one place of the index.
    identity: BigInt(number) << 40n,
    openedBootNs: BigInt(1000 + number),
    reportedBootNs: BigInt(2000 + number),
    slotIndex: number,
    isAdopted: number % 3 === 0,
  };
}

async function* portions(...given: readonly (readonly Entry[])[]): AsyncGenerator<readonly Entry[]> {
  yield* given;
}

async function write(count: number): Promise<void> {
  const entries = Array.from({ length: count }, (_, number) => entry(number));
  assert.equal(await writeStateFile(path, KEY, BOOT, portions(entries.slice(0, 7), entries.slice(7))), 0);
}

test('every time that was written is read again, and no other', async () => {
  await write(1009);
  const known = await readStateFile(path, BOOT);
  assert.equal(known?.key, KEY);
  assert.equal(known?.count, 1009);
  for (let number = 0; number < 1009; number += 1) {
    const { openedBootNs, reportedBootNs, isAdopted, identity } = entry(number);
    assert.deepEqual(known?.find(identity), { openedBootNs, reportedBootNs, isAdopted });
  }
  assert.equal(known?.find(1009n << 40n), null);
  assert.equal(known?.find(1n), null);
});

test('it is for its owner only, leaves nothing beside it, and is replaced whole', async () => {
  await write(3);
  await write(1);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(folder, 'run')), ['open-times.state']);
  assert.equal((await readStateFile(path, BOOT))?.count, 1);
});

test('a write that fails leaves the old file', async () => {
  await write(2);
  async function* failing(): AsyncGenerator<readonly Entry[]> {
    yield [entry(9)];
    throw new Error('the iterator ended');
  }
  await assert.rejects(writeStateFile(path, KEY, BOOT, failing()), /the iterator ended/);
  assert.equal((await readStateFile(path, BOOT))?.count, 2);
  assert.deepEqual(readdirSync(join(folder, 'run')), ['open-times.state']);
});

test('where the new file would go, a link of somebody else isn’t followed', async () => {
  mkdirSync(join(folder, 'run'));
  writeFileSync(join(folder, 'precious'), 'precious');
  symlinkSync(join(folder, 'precious'), `${path}.new`);
  await write(2);
  assert.equal(readFileSync(join(folder, 'precious'), 'utf8'), 'precious');
  assert.equal((await readStateFile(path, BOOT))?.count, 2);
});

test('no file is no mistake; one byte that is wrong anywhere makes it one', async () => {
  assert.equal(await readStateFile(path, BOOT), null);
  await write(4);
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole);
    damaged[at] ^= 0x10;
    writeFileSync(path, damaged);
    await assert.rejects(readStateFile(path, BOOT), { code: 'STATE_FILE' }, `byte ${at}`);
  }
});

test('a file that was cut, or is followed by more, isn’t believed', async () => {
  await write(4);
  const { size } = statSync(path);
  for (const bytes of [0, 1, 47, 48, 87, size - 24, size - 1]) {
    truncateSync(path, bytes);
    await assert.rejects(readStateFile(path, BOOT), { code: 'STATE_FILE' }, `${bytes} bytes`);
  }
  await write(4);
  writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(24)]));
  await assert.rejects(readStateFile(path, BOOT), /checksum/);
});

/** Gives changed bytes a checksum that is right. */
function rewrite(change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  change(bytes);
  createHash('sha256')
    .update(bytes.subarray(0, -32))
    .digest()
    .copy(bytes, bytes.length - 32);
  writeFileSync(path, bytes);
}

for (const [what, change, reason] of [
  ['another magic', (bytes: Buffer) => bytes.write('FDSPOPEX'), /no state file/],
  ['a later version', (bytes: Buffer) => bytes.writeUInt32LE(2, 8), /version is 2/],
  ['another boot', (bytes: Buffer) => bytes.fill(0, 16, 32), /another boot/],
  ['a later time', (bytes: Buffer) => bytes.writeBigUInt64LE(6_000_000_000n, 40), /not yet/],
  [
    'another number of entries',
    (bytes: Buffer) => bytes.writeBigUInt64LE(5n, bytes.length - 40),
    /number of/,
  ],
] as const) {
  test(`a file of ${what} isn’t believed, though its checksum is right`, async () => {
    await write(4);
    rewrite(change);
    await assert.rejects(readStateFile(path, BOOT), reason);
  });
}

test('a link, a folder, a fifo, a file that others may read and one that is too large are refused', async () => {
  await write(1);
  symlinkSync(path, `${path}.link`);
  await assert.rejects(readStateFile(`${path}.link`, BOOT), /symbolic link/);
  await assert.rejects(readStateFile(folder, BOOT), /no regular file/);
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  await assert.rejects(readStateFile(join(folder, 'fifo'), BOOT), /no regular file/);
  chmodSync(path, 0o640);
  await assert.rejects(readStateFile(path, BOOT), /others/);
  chmodSync(path, 0o600);
  truncateSync(path, 48 + 40 + 24 * (STATE_ENTRIES_MAX + 1));
  await assert.rejects(readStateFile(path, BOOT), /no size/);
});

test('any bytes are refused or read, and never end the reader otherwise', async () => {
  mkdirSync(join(folder, 'run'));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
      writeFileSync(path, bytes, { mode: 0o600 });
      await assert.rejects(readStateFile(path, BOOT), { code: 'STATE_FILE' });
    }),
    { numRuns: 200 },
  );
});

test('more files than the state file takes are left out, and counted', async () => {
  const some = Array.from({ length: 4096 }, (_, number) => entry(number));
  async function* many(): AsyncGenerator<readonly Entry[]> {
    for (let count = 0; count < STATE_ENTRIES_MAX + 4096; count += some.length) yield some;
  }
  assert.equal(await writeStateFile(path, KEY, BOOT, many()), 4096);
  assert.equal(statSync(path).size, 48 + 40 + 24 * STATE_ENTRIES_MAX);
});

test('the boot id is the kernel’s', async () => {
  const text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
  assert.equal((await readBootId()).toString('hex'), text.trim().replaceAll('-', ''));
});
