// The spool's folder: made if it is missing, owned by one process, and only the files of the spool touched in it.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, opendir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../model/make-folder.ts';
import { DiskTurns } from './disk-turns.ts';
import { Segment } from './segment.ts';

const LOCK_NAME = 'lock';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** A pid and a line's end. */
const LOCK_BYTES_MAX = 32;
/** Number, and the seed of the sums. */
const SEGMENT_NAME = /^([0-9a-f]{8})-([0-9a-f]{8})[.]spool$/;
/** Reason: an entry of memory for each. A spool of 1 TiB has as many; a folder with more isn't ours. */
const SEGMENTS_MAX = 65_536;
const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

/** For whoever finds the folder taken. A full disk has no room for it, and what the spool holds can be sent all the same. */
async function notePid(lock: FileHandle): Promise<void> {
  try {
    await lock.truncate(0);
    await lock.write(`${process.pid}\n`, 0);
  } catch {
    // The lock itself is what counts.
  }
}

/** Takes a lock that ends with the process; false: another process holds it. */
export type LockFile = (fd: number) => boolean;

/** Another process uses the folder: two would send everything twice. */
export class SpoolBusyError extends Error {
  readonly code = 'SPOOL_BUSY';
}

export class SpoolFolder {
  readonly path: string;
  readonly #lockFile: LockFile;
  readonly #turns = new DiskTurns();
  #lock: FileHandle | null = null;

  constructor(path: string, lockFile: LockFile) {
    this.path = path;
    this.#lockFile = lockFile;
  }

  get isClaimed(): boolean {
    return this.#lock !== null;
  }

  /** Makes the folder and takes its lock. Throws SpoolBusyError, or as mkdir(2) and open(2) do. */
  claim(): Promise<void> {
    return this.#turns.take(() => this.#claim());
  }

  async #claim(): Promise<void> {
    await makeFolder(this.path, FOLDER_MODE);
    const lock = await open(join(this.path, LOCK_NAME), O_RDWR | O_CREAT | O_NOFOLLOW, FILE_MODE);
    try {
      if (!this.#lockFile(lock.fd)) throw new SpoolBusyError(await this.#busyText(lock));
      await notePid(lock);
    } catch (error) {
      await lock.close();
      throw error;
    }
    await this.#lock?.close();
    this.#lock = lock;
  }

  /** Returns the segments of earlier runs, oldest first; foreign files and links are left alone. */
  segments(): Promise<Segment[]> {
    return this.#turns.take(() => this.#list());
  }

  async #list(): Promise<Segment[]> {
    const segments: Segment[] = [];
    for await (const { name } of await opendir(this.path)) {
      const [, number, seed] = SEGMENT_NAME.exec(name) ?? [];
      if (number === undefined || segments.length === SEGMENTS_MAX) continue;
      const path = join(this.path, name);
      const stat = await lstat(path);
      if (stat.isFile())
        segments.push(new Segment(path, parseInt(number, 16), parseInt(seed, 16), stat.size, this.#turns));
    }
    return segments.sort((one, other) => one.number - other.number);
  }

  /** Makes a new segment. */
  async create(number: number): Promise<Segment> {
    const seed = randomBytes(4).readUInt32LE();
    const name = [number, seed].map((part) => part.toString(16).padStart(8, '0')).join('-');
    const segment = new Segment(join(this.path, `${name}.spool`), number, seed, 0, this.#turns);
    await segment.create();
    try {
      await this.#turns.take(() => this.#sync());
    } catch (error) {
      // Nobody would know of it.
      await segment.remove().catch(() => undefined);
      throw error;
    }
    return segment;
  }

  /** Gives the lock back. */
  async release(): Promise<void> {
    const lock = this.#lock;
    this.#lock = null;
    await lock?.close();
  }

  /** A file's name is on the disk only once its folder is. */
  async #sync(): Promise<void> {
    const folder = await open(this.path, constants.O_RDONLY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async #busyText(lock: FileHandle): Promise<string> {
    const { buffer, bytesRead } = await lock.read(Buffer.alloc(LOCK_BYTES_MAX), 0, LOCK_BYTES_MAX, 0);
    const [pid] = /^\d+/.exec(buffer.toString('latin1', 0, bytesRead)) ?? ['unknown'];
    return `the spool in ${this.path} is used by another fdspan, pid ${pid}`;
  }
}
