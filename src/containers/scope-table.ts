// The scopes of containers, by number and by the path of their group. Those whose group went are kept for a while, as
// records of them may still wait.
import type { Container, KnownScope } from './container-table.ts';
import type { FoundScope } from './found-scope.ts';
import { GoneScopes } from './gone-scopes.ts';
import { cgroupVersionOfScope } from './scope.ts';

/** Reason: sixteen groups a container (systemd inside); others of it are ignored, and counted. */
const SCOPES_PER_CONTAINER_MAX = 16;

export class ScopeTable {
  readonly gone = new GoneScopes<KnownScope>();
  readonly #scopesMax: number;
  readonly #scopes = new Map<bigint, KnownScope>();
  readonly #byPath = new Map<string, bigint>();
  #full = 0;

  constructor(containersMax: number) {
    this.#scopesMax = containersMax * SCOPES_PER_CONTAINER_MAX;
  }

  /** Groups that found no place; only grows. */
  get full(): number {
    return this.#full;
  }

  get(scope: bigint): KnownScope | undefined {
    return this.#scopes.get(scope);
  }

  /** Whether a group of the container is there. */
  isThere({ scopes }: Container): boolean {
    for (const scope of scopes) if (this.#scopes.get(scope)?.isRemoved === false) return true;
    return false;
  }

  /** The container's own group of the scope's hierarchy; the scope itself where that isn't known. */
  ownGroupOf(scope: bigint, { path, scopes }: Container): bigint {
    const own = this.#byPath.get(`${cgroupVersionOfScope(scope)}:${path.groupPath}`);
    // A container that was made again has a group of the same path.
    return own !== undefined && scopes.has(own) ? own : scope;
  }

  /**
   * The first group of a container always has room. Once half of it is taken, a container that has its sixteen gets no
   * more, lest one takes the room of all others.
   */
  hasRoom({ scopes }: Container): boolean {
    const isScarce = this.#scopes.size >= this.#scopesMax / 2;
    if (scopes.size === 0) return true;
    return this.#scopes.size < this.#scopesMax && !(isScarce && scopes.size >= SCOPES_PER_CONTAINER_MAX);
  }

  /** Counts a group that found no place. */
  tellFull(): void {
    this.#full += 1;
  }

  add({ scope, version, path }: FoundScope, container: Container): void {
    const pathKey = `${version}:${path}`;
    this.#scopes.set(scope, { scope, pathKey, container, isRemoved: false });
    this.#byPath.set(pathKey, scope);
    container.scopes.add(scope);
  }

  /** The group went. */
  remove(entry: KnownScope): void {
    entry.isRemoved = true;
    this.gone.add(entry);
  }

  /** Its container keeps it. */
  drop(entry: KnownScope): void {
    this.gone.delete(entry);
    this.#scopes.delete(entry.scope);
    if (this.#byPath.get(entry.pathKey) === entry.scope) this.#byPath.delete(entry.pathKey);
  }
}
