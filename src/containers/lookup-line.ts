// The places for questions to runtimes: so many at once, and the others wait in line. A container that was not asked
// about yet goes before those that are asked about again, so that no flood of unknown ones holds up a real one; and one
// user's groups hold a part of the places only.

interface Waiting {
  readonly user: number | null;
  readonly begin: () => void;
}

export class LookupLine {
  readonly #placesMax: number;
  readonly #placesOfUserMax: number;
  readonly #first: Waiting[] = [];
  readonly #again: Waiting[] = [];
  readonly #ofUsers = new Map<number, number>();
  #taken = 0;
  #heldByUser = 0;

  constructor(placesMax: number, placesOfUserMax: number) {
    this.#placesMax = placesMax;
    this.#placesOfUserMax = placesOfUserMax;
  }

  /** Those that waited though there was a place, as their user had enough; only grows. */
  get heldByUser(): number {
    return this.#heldByUser;
  }

  /** Resolves once there is a place, which must be given back. `user`: whose group it is about; null: nobody's. */
  take(isAgain: boolean, user: number | null): Promise<void> {
    if (this.#taken < this.#placesMax) {
      if (this.#mayTake(user)) {
        this.#count(user, 1);
        return Promise.resolve();
      }
      this.#heldByUser += 1;
    }
    return new Promise((begin) => (isAgain ? this.#again : this.#first).push({ user, begin }));
  }

  /** Hands the place on to who waits for one. */
  give(user: number | null): void {
    this.#count(user, -1);
    const next = this.#next(this.#first) ?? this.#next(this.#again);
    if (next === null) return;
    this.#count(next.user, 1);
    next.begin();
  }

  #mayTake(user: number | null): boolean {
    return user === null || (this.#ofUsers.get(user) ?? 0) < this.#placesOfUserMax;
  }

  #next(line: Waiting[]): Waiting | null {
    const index = line.findIndex(({ user }) => this.#mayTake(user));
    return index === -1 ? null : line.splice(index, 1)[0];
  }

  #count(user: number | null, change: 1 | -1): void {
    this.#taken += change;
    if (user === null) return;
    const places = (this.#ofUsers.get(user) ?? 0) + change;
    if (places === 0) this.#ofUsers.delete(user);
    else this.#ofUsers.set(user, places);
  }
}
