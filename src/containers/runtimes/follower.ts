// Follows one runtime's events until closed: keeps the stream open, tells when the runtime answers and when it
// doesn't, notices one that hangs, and connects again with jittered backoff. Events only name containers; each named
// one is looked up. Which API the stream comes from is the source's affair.
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../../model/backoff.ts';
import { LookUpQueue } from './look-up-queue.ts';
import { reasonOf } from './reason.ts';
import type { ContainerMetadata, RuntimeListener } from './runtime-source.ts';
import { untilAborted } from './until-aborted.ts';

/** What a stream of events is told, and may tell while it is open. */
export interface EventStream {
  /** Ends the stream. */
  readonly signal: AbortSignal;
  /** Events from then on may have been missed. */
  readonly sinceUnixMs: number;
  /** To be called when the runtime accepts the stream, where it says so. */
  readonly opened: () => void;
  /** Names the container of an event by a key of bounded length. */
  readonly named: (key: string) => void;
  /** Tells of an event that can't be used. */
  readonly skipped: (reason: string) => void;
}

export interface FollowedRuntime {
  /** Resolves when the runtime answers. A stream may be silent for days: this tells a quiet runtime from one that hangs. */
  ping(signal: AbortSignal): Promise<unknown>;
  /**
   * Opens the stream of events and runs it to its end; without an end, until the signal aborts, where the runtime has no
   * events. Rejects when the stream breaks.
   */
  listen(stream: EventStream): Promise<void>;
  /** Looks the container up that `listen` named; null when it is gone. */
  lookUp(key: string, signal: AbortSignal): Promise<ContainerMetadata | null>;
}

export interface FollowTimes {
  /** Reason: a daemon that was restarted is back in seconds, and a try costs no more than a failing connect. */
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** A stream that lived this long ended for a new reason; a shorter one counts as the next failure in a row. */
  readonly stableMs: number;
  /** Reason: some runtimes answer nothing to a request for events before the first event; one that is refused has failed by then. */
  readonly pingFirstMs: number;
  /** How often a runtime is asked whether it is still there. Reason: some have hung for minutes unnoticed. */
  readonly pingMs: number;
  /** Reason: a runtime answers in a few ms; one that takes this long hangs. */
  readonly pingTimeoutMs: number;
}

export const FOLLOW_TIMES: FollowTimes = {
  retryFirstMs: 100,
  retryMaxMs: 10_000,
  stableMs: 30_000,
  pingFirstMs: 200,
  pingMs: 30_000,
  pingTimeoutMs: 10_000,
};

/** Farthest look back at a reconnect. Reason: after an outage of days the replay would take longer than it is worth. */
const LOOK_BACK_MAX_MS = 10 * 60_000;
/** Reason: engines take whole seconds; an event that comes twice does no harm. */
const LOOK_BACK_MARGIN_MS = 2_000;

export class Follower {
  readonly #runtime: FollowedRuntime;
  readonly #times: FollowTimes;
  readonly #closed = new AbortController();
  #listener: RuntimeListener | null = null;
  #isAnswering: boolean | null = null;
  /** When the runtime was last seen to answer; before that, when following began. */
  #aliveUnixMs = 0;

  constructor(runtime: FollowedRuntime, times: FollowTimes) {
    this.#runtime = runtime;
    this.#times = times;
  }

  /** Follows for one listener until `close`; a second call, and one after `close`, does nothing. */
  start(listener: RuntimeListener): void {
    if (this.#listener !== null || this.#isClosed()) return;
    this.#listener = listener;
    this.#aliveUnixMs = Date.now();
    const lookUp = this.#runtime.lookUp.bind(this.#runtime);
    void this.#run(listener, new LookUpQueue(lookUp, listener, this.#closed.signal));
  }

  /** Ends the stream; the listener isn't told anything after that. */
  close(): void {
    this.#closed.abort(new Error('closed'));
  }

  async #run(listener: RuntimeListener, queue: LookUpQueue): Promise<void> {
    const { retryFirstMs, retryMaxMs, stableMs } = this.#times;
    let failures = 0;
    while (!this.#isClosed()) {
      const startedMs = performance.now();
      const reason = await this.#runStream(listener, queue);
      if (this.#isClosed()) return;
      failures = performance.now() - startedMs >= stableMs ? 1 : failures + 1;
      this.#tell(listener, false, reason);
      await pause(backoffMs(failures, retryFirstMs, retryMaxMs), this.#closed.signal);
    }
  }

  #isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Runs one stream; returns why it ended. */
  async #runStream(listener: RuntimeListener, queue: LookUpQueue): Promise<string> {
    const end = new AbortController();
    const signal = AbortSignal.any([end.signal, this.#closed.signal]);
    const opened = (): void => {
      if (signal.aborted) return;
      this.#aliveUnixMs = Date.now();
      this.#tell(listener, true, '');
    };
    const stream: EventStream = {
      signal,
      sinceUnixMs: Math.max(this.#aliveUnixMs - LOOK_BACK_MARGIN_MS, Date.now() - LOOK_BACK_MAX_MS),
      opened,
      named: (key) => {
        if (!signal.aborted) queue.take(key);
      },
      skipped: (reason) => {
        if (!signal.aborted) listener.skipped?.(reason);
      },
    };
    void this.#pingUntil(end, signal, opened);
    try {
      await untilAborted(this.#runtime.listen(stream), signal);
      return 'the stream of events ended';
    } catch (error) {
      return reasonOf(error);
    } finally {
      end.abort(new Error('the stream of events ended'));
    }
  }

  /** Ends the stream of a runtime that doesn't answer. */
  async #pingUntil(end: AbortController, signal: AbortSignal, opened: () => void): Promise<void> {
    const { pingFirstMs, pingMs, pingTimeoutMs } = this.#times;
    for (let waitMs = pingFirstMs; ; waitMs = pingMs) {
      await pause(waitMs, signal);
      if (signal.aborted) return;
      const timeout = AbortSignal.timeout(pingTimeoutMs);
      try {
        await this.#runtime.ping(AbortSignal.any([signal, timeout]));
        opened();
      } catch (cause) {
        const why = timeout.aborted ? `no answer within ${pingTimeoutMs} ms` : reasonOf(cause);
        end.abort(new Error(`a ping failed: ${why}`, { cause }));
      }
    }
  }

  #tell(listener: RuntimeListener, isAnswering: boolean, reason: string): void {
    if (this.#isClosed() || isAnswering === this.#isAnswering) return;
    this.#isAnswering = isAnswering;
    listener.state(isAnswering, reason);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
