// A small file that is read again when it changes: tokens and certificates are renewed while fdspan runs.
import { readFile, stat } from 'node:fs/promises';

/** A look at the file costs some 50 µs of the thread pool: once a second is often enough for any renewal. */
const LOOK_INTERVAL_MS = 1000;

/** Tokens and certificate bundles are far smaller; a wrong path must not fill the memory. */
export const FILE_BYTES_MAX = 4 * 1024 * 1024;

export class WatchedFile {
  readonly path: string;
  #content: Buffer | null = null;
  #identity = '';
  #lookedAtMs = -Infinity;
  /** Who asks meanwhile gets the same content: another copy would look like another file. */
  #looking: Promise<Buffer> | null = null;

  constructor(path: string) {
    this.path = path;
  }

  /** Returns the content, as new as a second ago. Throws when the file can't be read and never could be. */
  read(): Promise<Buffer> {
    if (this.#content !== null && performance.now() - this.#lookedAtMs < LOOK_INTERVAL_MS)
      return Promise.resolve(this.#content);
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #look(): Promise<Buffer> {
    this.#lookedAtMs = performance.now();
    try {
      const { ino, size, mtimeMs } = await stat(this.path);
      const identity = `${ino}:${size}:${mtimeMs}`;
      if (this.#content === null || identity !== this.#identity) {
        if (size > FILE_BYTES_MAX)
          throw new Error(`${this.path} has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
        this.#content = await readFile(this.path);
        this.#identity = identity;
      }
    } catch (error) {
      // A renewal may remove the file for a moment: what was read before still holds.
      if (this.#content === null) throw error;
    }
    return this.#content;
  }

  /** Makes the next read look at the file at once. */
  expire(): void {
    this.#lookedAtMs = -Infinity;
  }
}
