// The places for questions to runtimes: so many at once, and the others wait in line. A container that was not asked
// about yet goes before those that are asked about again, so that no flood of unknown ones holds up a real one; those for
// which nothing waits come last, and hold a part of the places only, as one user's groups do.

/** `first`: not asked about yet; `again`: its records wait; `later`: nothing waits for it. */
export type LookupRank = 'first' | 'again' | 'later';

export interface LookupPlace {
  readonly rank: LookupRank;
  /** Whose group it is about; null: nobody's. */
  readonly user: number | null;
}

export interface LookupPlaces {
  readonly all: number;
  /** Of them for one user's groups, and for those that nothing waits for. */
  readonly ofUser: number;
  readonly later: number;
}

interface Waiting extends LookupPlace {
  readonly begin: () => void;
}

export class LookupLine {
  readonly #max: LookupPlaces;
  readonly #waiting: Readonly<Record<LookupRank, Waiting[]>> = { first: [], again: [], later: [] };
  readonly #ofUsers = new Map<number, number>();
  #later = 0;
  #taken = 0;
  #heldByUser = 0;

  constructor(max: LookupPlaces) {
    this.#max = max;
  }

  /** Those that waited though there was a place, as their user had enough; only grows. */
  get heldByUser(): number {
    return this.#heldByUser;
  }

  /** Resolves once there is a place, which must be given back. */
  take(place: LookupPlace): Promise<void> {
    if (this.#taken < this.#max.all) {
      if (this.#mayTake(place)) {
        this.#count(place, 1);
        return Promise.resolve();
      }
      if (!this.#mayUserTake(place)) this.#heldByUser += 1;
    }
    return new Promise((begin) => this.#waiting[place.rank].push({ ...place, begin }));
  }

  /** Hands the place on to who waits for one. */
  give(place: LookupPlace): void {
    this.#count(place, -1);
    const { first, again, later } = this.#waiting;
    const next = this.#next(first) ?? this.#next(again) ?? this.#next(later);
    if (next === null) return;
    this.#count(next, 1);
    next.begin();
  }

  #mayTake(place: LookupPlace): boolean {
    return this.#mayUserTake(place) && (place.rank !== 'later' || this.#later < this.#max.later);
  }

  #mayUserTake({ user }: LookupPlace): boolean {
    return user === null || (this.#ofUsers.get(user) ?? 0) < this.#max.ofUser;
  }

  #next(line: Waiting[]): Waiting | null {
    const index = line.findIndex((waiting) => this.#mayTake(waiting));
    return index === -1 ? null : line.splice(index, 1)[0];
  }

  #count({ rank, user }: LookupPlace, change: 1 | -1): void {
    this.#taken += change;
    if (rank === 'later') this.#later += change;
    if (user === null) return;
    const places = (this.#ofUsers.get(user) ?? 0) + change;
    if (places === 0) this.#ofUsers.delete(user);
    else this.#ofUsers.set(user, places);
  }
}
