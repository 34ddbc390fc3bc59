// What a user may make the main thread read and parse. Whoever owns a socket or a file chooses what is in it, and whoever
// makes groups how often it is read; root's own runtimes are not held to this.

/** Reason: an answer about one container has some 10 KiB, a list of 300 containers 200. Overflow: refused, counted. */
export const USER_ANSWER_BYTES_MAX = 256 * 1024;

/**
 * Reason: parsing takes some 10 ms a MiB, so that this is 1 % of the main thread; it is a hundred containers of one user.
 * Overflow: refused, counted; a look-up asks again some milliseconds later.
 */
export const USER_BYTES_PER_SECOND_MAX = 1024 * 1024;

/** Reason: more than have containers on one host; over it, the second of who began first begins anew. */
const USERS_MAX = 1024;
const WINDOW_MS = 1000;

interface Window {
  beganMs: number;
  bytes: number;
}

export class UserBytes {
  readonly #windows = new Map<number, Window>();
  #refused = 0;

  /** Answers and files that weren't read or parsed, being too large or too many; only grows. */
  get refused(): number {
    return this.#refused;
  }

  /** The most that is read at once. */
  maxOf(uid: number, bytesMax: number): number {
    return uid === 0 ? bytesMax : Math.min(bytesMax, USER_ANSWER_BYTES_MAX);
  }

  /** Counts what is larger than {@link maxOf}. */
  refuse(uid: number): void {
    if (uid !== 0) this.#refused += 1;
  }

  /** Whether so many bytes of the user may be read and parsed now. `nowMs` is any clock that only grows. */
  take(uid: number, bytes: number, nowMs: number = performance.now()): boolean {
    if (uid === 0) return true;
    const window = this.#windowOf(uid, nowMs);
    if (window.bytes + bytes > USER_BYTES_PER_SECOND_MAX) {
      this.#refused += 1;
      return false;
    }
    window.bytes += bytes;
    return true;
  }

  #windowOf(uid: number, nowMs: number): Window {
    const known = this.#windows.get(uid);
    if (known !== undefined && nowMs - known.beganMs < WINDOW_MS) return known;
    const window = { beganMs: nowMs, bytes: 0 };
    // In the order of their beginnings.
    this.#windows.delete(uid);
    this.#windows.set(uid, window);
    if (this.#windows.size > USERS_MAX) {
      const [oldest] = this.#windows.keys();
      this.#windows.delete(oldest);
    }
    return window;
  }
}

/** The process's: there is one main thread, whichever way a user's runtimes are asked. */
export const userBytes = new UserBytes();
