// Containers that a runtime's events named, looked up a few at a time.
import { reasonOf } from './reason.ts';
import type { ContainerMetadata, RuntimeListener } from './runtime-source.ts';

/** Reason: more at a time would compete with the look-ups that somebody waits for. */
const LOOK_UPS_MAX = 4;

/**
 * Containers named and not yet looked up. Reason: a host that starts a thousand at once; what is over it is told
 * as skipped, and its containers are known by `find` only.
 */
const NAMED_MAX = 1_024;

/** Reason: a runtime answers in 2–50 ms, a busy one in seconds; the others that were named wait meanwhile. */
const LOOK_UP_TIMEOUT_MS = 5_000;

export class LookUpQueue {
  readonly #lookUp: (key: string, signal: AbortSignal) => Promise<ContainerMetadata | null>;
  readonly #listener: RuntimeListener;
  readonly #closed: AbortSignal;
  readonly #named = new Set<string>();
  readonly #inFlight = new Set<string>();

  /** When `closed` aborts, nothing is told any more. */
  constructor(
    lookUp: (key: string, signal: AbortSignal) => Promise<ContainerMetadata | null>,
    listener: RuntimeListener,
    closed: AbortSignal,
  ) {
    this.#lookUp = lookUp;
    this.#listener = listener;
    this.#closed = closed;
    closed.addEventListener('abort', () => this.#named.clear(), { once: true });
  }

  /** Takes the key of a container that an event named. */
  take(key: string): void {
    if (this.#closed.aborted) return;
    if (this.#named.size >= NAMED_MAX && !this.#named.has(key)) {
      this.#listener.skipped?.(`${NAMED_MAX} containers wait to be looked up`);
      return;
    }
    this.#named.add(key);
    this.#startNext();
  }

  #startNext(): void {
    for (const key of this.#named) {
      if (this.#inFlight.size >= LOOK_UPS_MAX) return;
      // Of two answers about one container the older could come last.
      if (this.#inFlight.has(key)) continue;
      this.#named.delete(key);
      this.#inFlight.add(key);
      void this.#tell(key);
    }
  }

  async #tell(key: string): Promise<void> {
    try {
      const signal = AbortSignal.any([this.#closed, AbortSignal.timeout(LOOK_UP_TIMEOUT_MS)]);
      const metadata = await this.#lookUp(key, signal);
      // The container may be gone again.
      if (metadata !== null && !this.#closed.aborted) this.#listener.changed(metadata);
    } catch (error) {
      if (!this.#closed.aborted) this.#listener.skipped?.(reasonOf(error));
    } finally {
      this.#inFlight.delete(key);
      this.#startNext();
    }
  }
}
