// The containers that are known, by what tells them apart. One that is made again under the same name is another
// container: the one before keeps its groups, its verdict and its slot until it is forgotten.
import type { Container } from './container-table.ts';

/** Of them one owner's are a quarter of the slots at most. Reason: who may make groups makes any number of them. */
const SHARES = 4;

export class KnownContainers {
  /** Reason: as many as have a slot, and as many that are denied, asked about or just gone. */
  readonly #containersMax: number;
  readonly #shareMax: number;
  readonly #all = new Set<Container>();
  readonly #newest = new Map<string, Container>();
  readonly #ofOwners = new Map<string, number>();

  /** `slotsMax`: how many are traced at once. */
  constructor(slotsMax: number) {
    this.#containersMax = 2 * slotsMax;
    this.#shareMax = Math.ceil(slotsMax / SHARES);
  }

  hasRoom(container: Container): boolean {
    return !this.isFull && !this.isShareFull(container);
  }

  get isFull(): boolean {
    return this.#all.size >= this.#containersMax;
  }

  /** Whether the container's owner has as many as one may have. */
  isShareFull({ owner }: Container): boolean {
    return owner !== null && (this.#ofOwners.get(owner) ?? 0) >= this.#shareMax;
  }

  /** Returns the newest of that key. */
  get(key: string): Container | undefined {
    return this.#newest.get(key);
  }

  /** Whether it was made again: another one has its key. */
  isOutlived(container: Container): boolean {
    return this.#all.has(container) && this.#newest.get(container.key) !== container;
  }

  has(container: Container): boolean {
    return this.#all.has(container);
  }

  /** It is the newest of its key from now on. */
  add(container: Container): void {
    this.#all.add(container);
    this.#newest.set(container.key, container);
    this.#count(container, 1);
  }

  /** False when it isn't known. */
  delete(container: Container): boolean {
    if (!this.#all.delete(container)) return false;
    if (this.#newest.get(container.key) === container) this.#newest.delete(container.key);
    this.#count(container, -1);
    return true;
  }

  all(): IterableIterator<Container> {
    return this.#all.values();
  }

  /**
   * What a runtime tells now is about these; in the order in which their keys became known: one that was made again takes
   * the place of the one before.
   */
  newest(): IterableIterator<Container> {
    return this.#newest.values();
  }

  #count({ owner }: Container, change: 1 | -1): void {
    if (owner === null) return;
    const count = (this.#ofOwners.get(owner) ?? 0) + change;
    if (count === 0) this.#ofOwners.delete(owner);
    else this.#ofOwners.set(owner, count);
  }
}
