// How many calls of the spool the disk may hold at once. A call to a disk that hangs keeps one of libuv's threads, and
// those also compress requests, look names up and read other files: some must stay free.

/** Reason: half of libuv's four threads. One writes while the other reads, marks or syncs. */
const CALLS_MAX = 2;

export class DiskTurns {
  #calls = 0;
  readonly #waiting: (() => void)[] = [];

  /** Runs a call when it is its turn; a call must not wait for another one's turn. */
  async take<T>(call: () => Promise<T>): Promise<T> {
    if (this.#calls >= CALLS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#calls += 1;
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#calls -= 1;
      else next();
    }
  }
}
