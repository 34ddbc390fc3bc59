// The containers that are known, by what tells them apart. One that is made again under the same name is another
// container: the one before keeps its groups, its verdict and its slot until it is forgotten.
import type { Container } from './container-table.ts';

export class KnownContainers {
  readonly #all = new Set<Container>();
  readonly #newest = new Map<string, Container>();

  get size(): number {
    return this.#all.size;
  }

  /** Returns the newest of that key. */
  get(key: string): Container | undefined {
    return this.#newest.get(key);
  }

  has(container: Container): boolean {
    return this.#all.has(container);
  }

  /** It is the newest of its key from now on. */
  add(container: Container): void {
    this.#all.add(container);
    this.#newest.set(container.key, container);
  }

  delete(container: Container): void {
    this.#all.delete(container);
    if (this.#newest.get(container.key) === container) this.#newest.delete(container.key);
  }

  all(): IterableIterator<Container> {
    return this.#all.values();
  }

  /** What a runtime tells now is about these. */
  newest(): IterableIterator<Container> {
    return this.#newest.values();
  }
}
