// One timer that is set again and again.

export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings once at this moment of performance.now(), and not at the one set before; Infinity: not at all. */
  set(atMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    // Rounded up: a timer that fires a fraction early would only be set again.
    const waitMs = Math.max(0, Math.ceil(atMs - performance.now())) + 1;
    this.#timer = atMs === Infinity ? null : setTimeout(this.#ring, waitMs);
  }
}
