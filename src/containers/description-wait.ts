// Containers whose runtime has answered, but whose first process wasn't described yet. The kernel traces nothing of a
// container before that, so waiting costs nothing, and its first spans have namespaces and host name.
import type { Container } from './container-table.ts';

/** Reason: a start takes less; a description that was lost must not hold a verdict up for ever. */
const DESCRIPTION_WAIT_MS = 2000;

export class DescriptionWait {
  /** With the first tick's time after the answer. */
  readonly #waiting = new Map<Container, number | null>();

  hold(container: Container): void {
    this.#waiting.set(container, null);
  }

  /** Whether it waited; it no longer does. */
  take(container: Container): boolean {
    return this.#waiting.delete(container);
  }

  /** Returns those that have waited long enough; they no longer do. `nowMs` is any clock that only grows. */
  tick(nowMs: number): Container[] {
    const over: Container[] = [];
    for (const [container, sinceMs] of this.#waiting) {
      if (sinceMs === null) this.#waiting.set(container, nowMs);
      else if (nowMs - sinceMs >= DESCRIPTION_WAIT_MS) over.push(container);
    }
    for (const container of over) this.#waiting.delete(container);
    return over;
  }
}
