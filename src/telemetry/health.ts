// Whether fdspan is alive and ready, for whoever asks over the Prometheus port.

/** What is asked of a collector that has started. */
export interface Watched {
  /** When the pump turned last; compared with itself only. */
  readonly pumpTurnedMs: number;
  /** Whether the programs see an open and a close now; null: it couldn't be tried. */
  readonly isAttached: boolean | null;
}

/** Reason: the pump turns ten times a second, idle or stalled; what takes this long is no busy machine. */
export const PUMP_SILENT_MS_MAX = 30_000;
const LOOK_EVERY_MS = 1000;
/** Reason: the self-test makes an open and a close; whoever asks in a loop must not make more than one a second. */
const SELF_TEST_EVERY_MS = 1000;

export class Health {
  readonly #nowMs: () => number;
  #watched: Watched | null = null;
  #turnedMs = 0;
  /** When the pump was last seen to have turned; before the start, when this was made. */
  #aliveMs: number;
  #testedMs = -Infinity;
  #isAttached: boolean | null = null;
  #isStopping = false;
  #timer: NodeJS.Timeout | null = null;

  /** @param nowMs a clock that only grows. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#aliveMs = nowMs();
  }

  /** From now on the collector is attached, and its pump is looked at each second. */
  watch(watched: Watched): void {
    this.#watched = watched;
    this.#turnedMs = watched.pumpTurnedMs;
    this.#aliveMs = this.#nowMs();
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** It isn't ready any more, and takes its time. */
  stopping(): void {
    this.#isStopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Notes whether the pump has turned. */
  look(): void {
    const turnedMs = this.#watched?.pumpTurnedMs ?? 0;
    if (turnedMs !== this.#turnedMs) this.#aliveMs = this.#nowMs();
    this.#turnedMs = turnedMs;
  }

  /** Why fdspan should be started again; null: it works. A stop has a deadline of its own. */
  whyNotAlive(): string | null {
    if (this.#isStopping) return null;
    this.look();
    const silentMs = this.#nowMs() - this.#aliveMs;
    if (silentMs <= PUMP_SILENT_MS_MAX) return null;
    const seconds = Math.round(silentMs / 1000);
    return this.#watched === null ? `not started after ${seconds} s` : `the pump stands for ${seconds} s`;
  }

  /** Why fdspan traces nothing now; null: it does. A backend that is down is no reason: spans wait. */
  whyNotReady(): string | null {
    if (this.#isStopping) return 'stopping';
    if (this.#watched === null) return 'not attached yet';
    const nowMs = this.#nowMs();
    if (nowMs - this.#testedMs >= SELF_TEST_EVERY_MS) {
      this.#testedMs = nowMs;
      this.#isAttached = this.#watched.isAttached;
    }
    return this.#isAttached === false ? "the programs don't see an open and a close of fdspan's own" : null;
  }
}
