// Follows one runtime's events until closed: connects, asks whether the runtime answers, listens, and tries again
// after a failure. Events only name containers; each named one is looked up, a few at a time.
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../../model/backoff.ts';
import type { ContainerMetadata, RuntimeListener } from './runtime-source.ts';

export interface FollowedRuntime {
  /** Asks something small; rejects when the runtime doesn't answer. */
  ping(signal: AbortSignal): Promise<void>;
  /**
   * Listens to events and names the container of each by a key of bounded length. Resolves when the runtime ends the stream; never,
   * until the signal aborts, where it has no events.
   */
  listen(signal: AbortSignal, named: (key: string) => void): Promise<void>;
  /** Looks the container up that `listen` named; null when it is gone. */
  lookUp(key: string, signal: AbortSignal): Promise<ContainerMetadata | null>;
}

export interface FollowTimes {
  /** Reason: a runtime on a unix socket answers in a few ms; one that takes this long hangs. */
  readonly callMs: number;
  /** How often a silent runtime is asked whether it is still there. Reason: some have hung for minutes unnoticed. */
  readonly heartbeatMs: number;
  /** The wait after a first failure. Reason: a restart of a runtime takes one to three seconds. */
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
}

export const FOLLOW_TIMES: FollowTimes = {
  callMs: 5_000,
  heartbeatMs: 60_000,
  retryFirstMs: 1_000,
  retryMaxMs: 30_000,
};

/** Reason: more at a time would compete with the look-ups that somebody waits for. */
const LOOK_UPS_MAX = 4;

/**
 * Containers named and not yet looked up. Reason: a host that starts a thousand at once; what is over it is told
 * as skipped, and its containers are known by `find` only.
 */
const NAMED_MAX = 1_024;

export class EventFollower {
  readonly #runtime: FollowedRuntime;
  readonly #listener: RuntimeListener;
  readonly #times: FollowTimes;
  readonly #stop = new AbortController();
  readonly #named = new Set<string>();
  #lookUps = 0;
  #isAnswering: boolean | null = null;

  constructor(runtime: FollowedRuntime, listener: RuntimeListener, times: FollowTimes = FOLLOW_TIMES) {
    this.#runtime = runtime;
    this.#listener = listener;
    this.#times = times;
    void this.#run();
  }

  close(): void {
    this.#stop.abort(new Error('closed'));
    this.#named.clear();
  }

  async #run(): Promise<void> {
    const stop = this.#stop.signal;
    for (let failures = 0; !stop.aborted;) {
      const beganMs = performance.now();
      const reason = await this.#session().catch((error: unknown) => messageOf(error));
      if (stop.aborted) return;
      this.#tell(false, reason);
      // A connection that held ended for a new reason; one that breaks at once each time didn't.
      failures = performance.now() - beganMs > this.#times.retryMaxMs ? 1 : failures + 1;
      const { retryFirstMs, retryMaxMs } = this.#times;
      await delay(backoffMs(failures, retryFirstMs, retryMaxMs), undefined, { signal: stop }).catch(
        () => undefined,
      );
    }
  }

  /** Lives as long as the connection does; returns or throws why it ended. */
  async #session(): Promise<string> {
    const end = new AbortController();
    const signal = AbortSignal.any([end.signal, this.#stop.signal]);
    try {
      const events = this.#runtime.listen(signal, (key) => this.#take(key));
      return await Promise.race([events.then(() => 'the runtime ended its events'), this.#heartbeat(signal)]);
    } finally {
      end.abort(new Error('the connection ended'));
    }
  }

  async #heartbeat(signal: AbortSignal): Promise<never> {
    for (;;) {
      const timeout = AbortSignal.timeout(this.#times.callMs);
      await this.#runtime.ping(AbortSignal.any([signal, timeout])).catch((error: unknown) => {
        throw timeout.aborted ? new Error(`no answer within ${this.#times.callMs} ms`) : error;
      });
      this.#tell(true, 'answers');
      await delay(this.#times.heartbeatMs, undefined, { signal });
    }
  }

  #tell(isAnswering: boolean, reason: string): void {
    if (this.#stop.signal.aborted || this.#isAnswering === isAnswering) return;
    this.#isAnswering = isAnswering;
    this.#listener.state(isAnswering, reason);
  }

  #take(key: string): void {
    if (this.#stop.signal.aborted) return;
    if (this.#named.size >= NAMED_MAX && !this.#named.has(key)) {
      this.#listener.skipped?.(`${NAMED_MAX} containers wait to be looked up`);
      return;
    }
    this.#named.add(key);
    this.#lookUpNext();
  }

  #lookUpNext(): void {
    for (const key of this.#named) {
      if (this.#lookUps >= LOOK_UPS_MAX) return;
      this.#named.delete(key);
      this.#lookUps += 1;
      void this.#lookUp(key);
    }
  }

  async #lookUp(key: string): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#times.callMs)]);
    try {
      const metadata = await this.#runtime.lookUp(key, signal);
      if (metadata !== null && !this.#stop.signal.aborted) this.#listener.changed(metadata);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#listener.skipped?.(messageOf(error));
    } finally {
      this.#lookUps -= 1;
      this.#lookUpNext();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
