// A deadline for whoever is asked. A process that stalls (programs being loaded, a busy machine) would find the time
// over before it reads answers that are there already, and blame those who answered.

/** Reason: a turn of the event loop that was late counts for this much, however long it took. */
const TICK_MS = 50;

export class Patience {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  #ticksLeft: number;
  #timer: NodeJS.Timeout;

  /** Begins to count. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#ticksLeft = Math.ceil(timeoutMs / TICK_MS);
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
  }

  /** Aborts when the event loop has turned for the time. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Stops the count. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #tick(): void {
    this.#ticksLeft -= 1;
    if (this.#ticksLeft > 0) this.#timer = setTimeout(() => this.#tick(), TICK_MS);
    else this.#controller.abort(new Error(`no answer within ${this.#timeoutMs} ms`));
  }
}
