// The places for questions to runtimes: so many at once, and the others wait in line. A container that was not asked
// about yet goes before those that are asked about again, so that no flood of unknown ones holds up a real one.

export class LookupLine {
  readonly #placesMax: number;
  readonly #first: (() => void)[] = [];
  readonly #again: (() => void)[] = [];
  #taken = 0;

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
  }

  /** Resolves once there is a place, which must be given back. */
  take(isAgain: boolean): Promise<void> {
    if (this.#taken < this.#placesMax) {
      this.#taken += 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => (isAgain ? this.#again : this.#first).push(resolve));
  }

  /** Hands the place on to who waits for one. */
  give(): void {
    const next = this.#first.shift() ?? this.#again.shift();
    if (next === undefined) this.#taken -= 1;
    else next();
  }
}
