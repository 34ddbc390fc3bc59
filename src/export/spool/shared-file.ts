// A file that is open while it is needed: by several calls at once, and closed only when none uses it.
import { constants } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import type { DiskTurns } from './disk-turns.ts';

const FILE_MODE = 0o600;
/** Never through a link that somebody put in a file's place. */
const FLAGS = constants.O_RDWR | constants.O_NOFOLLOW;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW;

export class SharedFile {
  readonly #path: string;
  readonly #turns: DiskTurns;
  #file: FileHandle | null = null;
  #opening: Promise<FileHandle> | null = null;
  /** Why the file is open for reading only; null: it isn't. */
  #refusal: Error | null = null;
  /** Calls that use the file now. */
  #users = 0;
  #isCloseAsked = false;

  constructor(path: string, turns: DiskTurns) {
    this.#path = path;
    this.#turns = turns;
  }

  /** Makes the file. Throws as open(2) does, also where something has the name already. */
  async create(): Promise<void> {
    const flags = FLAGS | constants.O_CREAT | constants.O_EXCL;
    this.#file = await this.#turns.take(() => open(this.#path, flags, FILE_MODE));
  }

  /** Lends the open file to a call; where the file system has become read-only, to one that reads. */
  async use<T>(call: (file: FileHandle) => Promise<T>, isReading = false): Promise<T> {
    this.#users += 1;
    try {
      return await this.#turns.take(async () => {
        const file = await this.#open();
        if (this.#refusal !== null && !isReading) throw this.#refusal;
        return call(file);
      });
    } finally {
      this.#users -= 1;
      await this.#closeIfIdle();
    }
  }

  /** Closes the file when nobody uses it any more; the next call opens it again. */
  async close(): Promise<void> {
    this.#isCloseAsked = true;
    await this.#closeIfIdle();
  }

  /** Removes the file's name. */
  async remove(): Promise<void> {
    await this.#turns.take(() => unlink(this.#path));
  }

  async #open(): Promise<FileHandle> {
    if (this.#file !== null) return this.#file;
    this.#opening ??= open(this.#path, FLAGS).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EROFS') throw error;
      this.#refusal = error;
      return open(this.#path, READ_FLAGS);
    });
    try {
      this.#file = await this.#opening;
      return this.#file;
    } finally {
      this.#opening = null;
    }
  }

  async #closeIfIdle(): Promise<void> {
    if (!this.#isCloseAsked || this.#users > 0) return;
    this.#isCloseAsked = false;
    const file = this.#file;
    this.#file = null;
    this.#refusal = null;
    if (file !== null) await this.#turns.take(() => file.close());
  }
}
