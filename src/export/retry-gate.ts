// When requests may be sent again: what the backend's last answers say of its health.
import { backoffMs } from '../model/backoff.ts';

/** Added to a wait that the backend asks for, at most: a fleet that was told the same doesn't return at once. */
const ASKED_JITTER = 0.1;

export class RetryGate {
  readonly #firstMs: number;
  readonly #maxMs: number;
  /** Retryable results in a row. */
  #failures = 0;
  #failedAtMs = 0;
  #notBeforeMs = 0;
  /** The backend itself asked for nothing before this moment. */
  #askedMs = 0;
  #isHurried = false;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  /** Nothing is sent before this moment. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** While results fail, every other try is one of a request that never failed: see RequestQueue.take. */
  get prefersFresh(): boolean {
    return this.#failures % 2 === 1;
  }

  /** Returns how many requests may be under way: while results fail, one tries whether the backend is back. */
  inFlightMax(requestsInFlightMax: number): number {
    return this.#failures > 0 ? 1 : requestsInFlightMax;
  }

  /** Ends the wait and stops doubling it: at stop there is no time for it. A wait that the backend asked for stays. */
  hurry(): void {
    this.#isHurried = true;
    this.#notBeforeMs = this.#askedMs;
  }

  /**
   * Called for a retryable result of a request that was sent at `startedMs` for the `attempts`th time; returns when that request
   * may be sent again. A backend that asks for no wait, or for a short one, still gets the backoff.
   */
  failed(startedMs: number, nowMs: number, attempts: number, retryAfterMs: number | null): number {
    const askedMs = retryAfterMs === null ? 0 : nowMs + retryAfterMs * (1 + ASKED_JITTER * Math.random());
    this.#askedMs = Math.max(this.#askedMs, askedMs);
    // Requests that were under way together fail together: that is one failure of the backend.
    if (startedMs >= this.#failedAtMs) {
      this.#failures += 1;
      this.#failedAtMs = nowMs;
      this.#notBeforeMs = nowMs + this.#wait(this.#failures);
    }
    this.#notBeforeMs = Math.max(this.#notBeforeMs, askedMs);
    return Math.max(nowMs + this.#wait(attempts), askedMs);
  }

  /**
   * Called for an answer that shows the backend at work; returns whether it is news. A request that was
   * under way before the last failure says nothing about what came after it.
   */
  worked(startedMs: number): boolean {
    if (startedMs < this.#failedAtMs) return false;
    this.#failures = 0;
    this.#notBeforeMs = 0;
    this.#askedMs = 0;
    return true;
  }

  #wait(failures: number): number {
    return backoffMs(this.#isHurried ? 1 : failures, this.#firstMs, this.#maxMs);
  }
}
