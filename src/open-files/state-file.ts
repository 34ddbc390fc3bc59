// The state file: since when the files are open that the next fdspan will find open. Written in a stream, replaced at
// once; read only if it is whole, ours alone, and of this boot.
//
//   "FDSPOPEN", version (u32), 0 (u32), boot id (16), identity key (u64), written (boot ns, u64)
//   entries: identity, opened (its highest bit: adopted, a lower bound), reported (boot ns), u64 each
//   number of entries (u64), SHA-256 of all before
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { OpenIdentity } from '../bpf/open-files.ts';
import { makeFolder } from '../model/make-folder.ts';

const MAGIC = Buffer.from('FDSPOPEN');
const VERSION = 1;
const HEADER_BYTES = 48;
const BOOT_ID_AT = 16;
const KEY_AT = 32;
const WRITTEN_AT = 40;
const ENTRY_BYTES = 24;
const WORDS_PER_ENTRY = 3;
const HASH_BYTES = 32;
const TRAILER_BYTES = 8 + HASH_BYTES;
/** Reason: 24 MiB. Overflow: further files are left out, counted by open_times_left_out. */
export const STATE_ENTRIES_MAX = 1 << 20;
const FILE_MODE = 0o600;
const ADOPTED_BIT = 1n << 63n;

/** A state file that must not be believed; the message says why. */
export class StateFileError extends Error {
  readonly code = 'STATE_FILE';
}

/** What tells that a state file is of this boot. */
export interface Boot {
  /** 16 bytes. */
  readonly id: Buffer;
  readonly nowBootNs: bigint;
}

export interface KnownTime {
  readonly openedBootNs: bigint;
  readonly reportedBootNs: bigint;
  /** The time is a lower bound. */
  readonly isAdopted: boolean;
}

/** What a file held: times by identity. The entries stay in place, with an index of one word for each half entry. */
export class KnownTimes {
  readonly key: bigint;
  readonly count: number;
  readonly #words: BigUint64Array;
  /** Numbers of entries + 1, by identity; open addressing. */
  readonly #index: Uint32Array;
  readonly #mask: bigint;

  constructor(key: bigint, words: BigUint64Array) {
    this.key = key;
    this.count = words.length / WORDS_PER_ENTRY;
    this.#words = words;
    let places = 16;
    while (places < 2 * this.count) places *= 2;
    this.#index = new Uint32Array(places);
    this.#mask = BigInt(places - 1);
    for (let entry = 0; entry < this.count; entry += 1)
      this.#index[this.#placeOf(words[entry * WORDS_PER_ENTRY])] = entry + 1;
  }

  find(identity: bigint): KnownTime | null {
    const entry = this.#index[this.#placeOf(identity)] - 1;
    if (entry < 0) return null;
    const at = entry * WORDS_PER_ENTRY;
    const opened = this.#words[at + 1];
    return {
      openedBootNs: opened & ~ADOPTED_BIT,
      reportedBootNs: this.#words[at + 2],
      isAdopted: (opened & ADOPTED_BIT) !== 0n,
    };
  }

  /** The place of that identity, or the free one where it would be. */
  #placeOf(identity: bigint): number {
    let place = Number(identity & this.#mask);
    for (;;) {
      const entry = this.#index[place] - 1;
      if (entry < 0 || this.#words[entry * WORDS_PER_ENTRY] === identity) return place;
      place = (place + 1) & (this.#index.length - 1);
    }
  }
}

/** Reads the boot id of this machine. */
export async function readBootId(): Promise<Buffer> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'latin1');
  return Buffer.from(text.trim().replaceAll('-', ''), 'hex');
}

/** Reads a state file; null when there is none. Throws {@link StateFileError} for one that can't be used. */
export async function readStateFile(path: string, boot: Boot): Promise<KnownTimes | null> {
  let file: FileHandle;
  try {
    // O_NONBLOCK: a fifo in its place would wait for a writer.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new StateFileError(code === 'ELOOP' ? 'it is a symbolic link' : `opening it: ${code}`, { cause });
  }
  try {
    return decode(await readWhole(file), boot);
  } finally {
    await file.close();
  }
}

async function readWhole(file: FileHandle): Promise<Buffer> {
  const stat = await file.stat();
  if (!stat.isFile()) throw new StateFileError('it is no regular file');
  if (stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0)
    throw new StateFileError('others own it, or may read or write it');
  const entriesBytes = stat.size - HEADER_BYTES - TRAILER_BYTES;
  if (entriesBytes < 0 || entriesBytes % ENTRY_BYTES !== 0 || entriesBytes / ENTRY_BYTES > STATE_ENTRIES_MAX)
    throw new StateFileError(`${stat.size} bytes is no size of a state file`);
  const bytes = Buffer.alloc(stat.size);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  if (bytesRead !== stat.size) throw new StateFileError(`${bytesRead} of ${stat.size} bytes could be read`);
  return bytes;
}

function decode(bytes: Buffer, boot: Boot): KnownTimes {
  const hashAt = bytes.length - HASH_BYTES;
  const hash = createHash('sha256').update(bytes.subarray(0, hashAt)).digest();
  if (!hash.equals(bytes.subarray(hashAt))) throw new StateFileError('its checksum is wrong');
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new StateFileError('it is no state file');
  const version = bytes.readUInt32LE(MAGIC.length);
  if (version !== VERSION) throw new StateFileError(`its version is ${version}, not ${VERSION}`);
  if (!bytes.subarray(BOOT_ID_AT, KEY_AT).equals(boot.id)) throw new StateFileError('it is of another boot');
  if (bytes.readBigUInt64LE(WRITTEN_AT) > boot.nowBootNs)
    throw new StateFileError('it is of a time that is not yet');
  const entriesEnd = bytes.length - TRAILER_BYTES;
  const count = (entriesEnd - HEADER_BYTES) / ENTRY_BYTES;
  if (bytes.readBigUInt64LE(entriesEnd) !== BigInt(count))
    throw new StateFileError('its number of entries is wrong');
  const words = new BigUint64Array(count * WORDS_PER_ENTRY);
  for (let word = 0; word < words.length; word += 1)
    words[word] = bytes.readBigUInt64LE(HEADER_BYTES + 8 * word);
  return new KnownTimes(bytes.readBigUInt64LE(KEY_AT), words);
}

/**
 * Writes the entries and replaces the file at once; returns how many found no place. Not synced to a disk: after a
 * crash of the machine it is of another boot. Throws the error of the file system.
 */
export async function writeStateFile(
  path: string,
  key: bigint,
  boot: Boot,
  portions: AsyncIterable<readonly OpenIdentity[]>,
): Promise<number> {
  const written = `${path}.new`;
  await makeFolder(dirname(path), 0o755);
  await rm(written, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(written, flags, FILE_MODE);
  try {
    const leftOut = await writeAll(file, key, boot, portions);
    await rename(written, path);
    return leftOut;
  } catch (error) {
    await rm(written, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function writeAll(
  file: FileHandle,
  key: bigint,
  boot: Boot,
  portions: AsyncIterable<readonly OpenIdentity[]>,
): Promise<number> {
  const hash = createHash('sha256');
  const write = async (bytes: Buffer): Promise<void> => {
    hash.update(bytes);
    await file.writeFile(bytes);
  };
  await write(headerOf(key, boot));
  let count = 0;
  let leftOut = 0;
  for await (const portion of portions) {
    const entries = portion.slice(0, STATE_ENTRIES_MAX - count);
    count += entries.length;
    leftOut += portion.length - entries.length;
    if (entries.length > 0) await write(bytesOf(entries));
  }
  const trailer = Buffer.alloc(8);
  trailer.writeBigUInt64LE(BigInt(count));
  await write(trailer);
  await file.writeFile(hash.digest());
  return leftOut;
}

function bytesOf(entries: readonly OpenIdentity[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES);
  entries.forEach(({ identity, openedBootNs, reportedBootNs, isAdopted }, index) => {
    const at = index * ENTRY_BYTES;
    bytes.writeBigUInt64LE(identity, at);
    bytes.writeBigUInt64LE(isAdopted ? openedBootNs | ADOPTED_BIT : openedBootNs, at + 8);
    bytes.writeBigUInt64LE(reportedBootNs, at + 16);
  });
  return bytes;
}

function headerOf(key: bigint, boot: Boot): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, MAGIC.length);
  boot.id.copy(header, BOOT_ID_AT);
  header.writeBigUInt64LE(key, KEY_AT);
  header.writeBigUInt64LE(boot.nowBootNs, WRITTEN_AT);
  return header;
}
