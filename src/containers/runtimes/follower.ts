// Keeps one stream of events of a runtime open: tells when the runtime answers and when it doesn't, notices one
// that hangs, and connects again with jittered backoff. Which API the stream comes from is the source's affair.
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../../model/backoff.ts';

export interface FollowedStream {
  /**
   * Opens the stream and runs it to its end. `opened` is to be called when the runtime accepted it, at the latest
   * with the first event. `sinceUnixMs`: events from then on may have been missed.
   * Rejects when the stream breaks or `signal` aborts.
   */
  run(signal: AbortSignal, opened: () => void, sinceUnixMs: number): Promise<void>;
  /** Resolves when the runtime answers. A stream may be silent for days: this tells a quiet runtime from one that hangs. */
  ping(signal: AbortSignal): Promise<unknown>;
}

export interface FollowerTiming {
  /** Reason: a daemon that was restarted is back in seconds, and a try costs no more than a failing connect. */
  readonly reconnectFirstMs: number;
  readonly reconnectMaxMs: number;
  /** A stream that lived this long ended for a new reason; a shorter one counts as the next failure in a row. */
  readonly stableMs: number;
  /** The first ping comes soon: some runtimes answer nothing to a request for events before the first event. */
  readonly firstPingMs: number;
  readonly pingMs: number;
  readonly pingTimeoutMs: number;
}

export const FOLLOWER_TIMING: FollowerTiming = {
  reconnectFirstMs: 100,
  reconnectMaxMs: 10_000,
  stableMs: 30_000,
  firstPingMs: 500,
  pingMs: 30_000,
  pingTimeoutMs: 10_000,
};

/** Farthest look back at a reconnect. Reason: after an outage of days the replay would take longer than it is worth. */
const LOOK_BACK_MAX_MS = 10 * 60_000;
/** Reason: engines take whole seconds; an event that comes twice does no harm. */
const LOOK_BACK_MARGIN_MS = 2_000;

export class Follower {
  readonly #stream: FollowedStream;
  readonly #onState: (isAnswering: boolean, reason: string) => void;
  readonly #timing: FollowerTiming;
  readonly #closed = new AbortController();
  #stop: AbortController | null = null;
  #isAnswering: boolean | null = null;
  /** When the runtime was last seen to answer; before that, when following began. */
  #aliveUnixMs = 0;

  constructor(
    stream: FollowedStream,
    onState: (isAnswering: boolean, reason: string) => void,
    timing: FollowerTiming = FOLLOWER_TIMING,
  ) {
    this.#stream = stream;
    this.#onState = onState;
    this.#timing = timing;
  }

  /** Follows until `close`; to be called once. */
  start(): void {
    this.#aliveUnixMs = Date.now();
    void this.#run();
  }

  close(): void {
    this.#closed.abort();
    this.#stop?.abort(new Error('closed'));
  }

  async #run(): Promise<void> {
    const { reconnectFirstMs, reconnectMaxMs, stableMs } = this.#timing;
    let failures = 0;
    while (!this.#isClosed()) {
      const startedMs = performance.now();
      const reason = await this.#once();
      if (this.#isClosed()) return;
      failures = performance.now() - startedMs >= stableMs ? 1 : failures + 1;
      this.#tell(false, reason);
      await delay(backoffMs(failures, reconnectFirstMs, reconnectMaxMs), undefined, {
        signal: this.#closed.signal,
      }).catch(() => undefined);
    }
  }

  #isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Runs one stream; returns why it ended. */
  async #once(): Promise<string> {
    const stop = new AbortController();
    this.#stop = stop;
    const opened = (): void => {
      if (!stop.signal.aborted) this.#noteAlive();
    };
    void this.#pingUntil(stop, opened);
    try {
      await this.#stream.run(stop.signal, opened, this.#sinceUnixMs());
      return 'the stream of events ended';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      stop.abort();
    }
  }

  async #pingUntil(stop: AbortController, opened: () => void): Promise<void> {
    let waitMs = this.#timing.firstPingMs;
    while (!stop.signal.aborted) {
      await delay(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      waitMs = this.#timing.pingMs;
      const { pingTimeoutMs } = this.#timing;
      try {
        await this.#stream.ping(AbortSignal.timeout(pingTimeoutMs));
        opened();
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        stop.abort(new Error(`a ping failed: ${why}`, { cause }));
      }
    }
  }

  #noteAlive(): void {
    this.#aliveUnixMs = Date.now();
    this.#tell(true, '');
  }

  #sinceUnixMs(): number {
    return Math.max(this.#aliveUnixMs - LOOK_BACK_MARGIN_MS, Date.now() - LOOK_BACK_MAX_MS);
  }

  #tell(isAnswering: boolean, reason: string): void {
    if (this.#isClosed() || isAnswering === this.#isAnswering) return;
    this.#isAnswering = isAnswering;
    this.#onState(isAnswering, reason);
  }
}
