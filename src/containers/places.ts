// The places for containers and their groups: who has one, who gets one, and who gives it up. All are bounded by
// `limits.containers`.
import type { ContainerPath } from './cgroup-path.ts';
import {
  containerKey,
  isMadeAgain,
  newContainer,
  type Container,
  type KnownScope,
} from './container-table.ts';
import type { FoundScope } from './found-scope.ts';
import { KnownContainers } from './known-containers.ts';
import { Refusals } from './refusals.ts';
import { ScopeTable } from './scope-table.ts';

export interface PlacesOptions {
  readonly containersMax: number;
  readonly ignored: (scope: bigint) => void;
  /** There is no place for the container of that scope, or for that group of it. */
  readonly refused: (scope: bigint) => void;
  /** There is no place for one container more. */
  readonly full: () => void;
  readonly scopeGone: (scope: bigint) => void;
  /** The container of that slot is over, and was made again. */
  readonly replaced: (slot: number) => void;
  /** The container is known no more: its slot is free. */
  readonly forgotten: (container: Container) => void;
}

export class Places {
  readonly scopes: ScopeTable;
  readonly containers: KnownContainers;
  readonly refusals: Refusals;
  readonly #options: PlacesOptions;

  constructor(options: PlacesOptions) {
    this.#options = options;
    this.scopes = new ScopeTable(options.containersMax);
    this.containers = new KnownContainers(options.containersMax);
    this.refusals = new Refusals(2 * options.containersMax);
  }

  /** Whether the container may have another group; counts and refuses each that it may not. */
  hasRoom(scope: bigint, container: Container): boolean {
    if (this.scopes.hasRoom(container)) return true;
    if (this.refusals.add(scope)) this.scopes.tellFull();
    this.#options.refused(scope);
    return false;
  }

  /**
   * The container that the path names, which has no group where it is new; another one where the one that is known is over,
   * and it was made again. null when there is no room, and nobody is gone for long enough: then the group is refused.
   */
  containerOf(path: ContainerPath, found: FoundScope): Container | null {
    const known = this.containers.get(containerKey(path));
    if (known !== undefined) {
      if (!isMadeAgain(known, path, found, () => this.scopes.isThere(known))) return known;
      if (known.slot !== 0) this.#options.replaced(known.slot);
    }
    const container = newContainer(path, found);
    while (!this.containers.hasRoom(container)) {
      const owner = this.containers.isShareFull(container) ? container.owner : null;
      if (this.forgetGone(null, owner)) continue;
      this.#refuse(found.scope);
      this.#options.refused(found.scope);
      return null;
    }
    this.containers.add(container);
    return container;
  }

  /** Forgets the container (of that owner) that is gone for longest; false when none is gone for long enough. */
  forgetGone(except: Container | null, owner: string | null = null): boolean {
    for (const entry of this.scopes.gone.forgettable(({ container }) => container.slot !== 0)) {
      const { container } = entry;
      if (container.verdict === 'unjudged' || container === except) continue;
      if (owner !== null && container.owner !== owner) continue;
      this.forget(entry);
      if (container.scopes.size === 0) return true;
    }
    return false;
  }

  /** The group went, and its time is over; its container goes with the last one. */
  forget(entry: KnownScope): void {
    this.scopes.drop(entry);
    const { container } = entry;
    container.scopes.delete(entry.scope);
    this.refusals.delete(entry.scope);
    this.#options.scopeGone(entry.scope);
    if (container.scopes.size > 0 || !this.containers.delete(container)) return;
    this.#options.forgotten(container);
    this.refusals.roomCame();
  }

  /** Refuses the container from now on, as there is no slot for it. */
  refuse(container: Container): void {
    this.#refuse(container.scope);
    this.#drop(container, this.#options.refused);
  }

  #refuse(scope: bigint): void {
    if (this.refusals.add(scope)) this.#options.full();
  }

  /** What went already is forgotten in its time: nobody tells of it again. */
  #drop(container: Container, tell: (scope: bigint) => void): void {
    this.containers.delete(container);
    for (const scope of container.scopes) {
      tell(scope);
      const entry = this.scopes.get(scope);
      if (entry === undefined || entry.isRemoved) continue;
      this.scopes.drop(entry);
      container.scopes.delete(scope);
    }
  }

  /** Ignores what only looked like a container. */
  dropUnproven(container: Container): void {
    this.refusals.unproven();
    if (this.containers.isFull) this.refusals.roomCame();
    this.#drop(container, this.#options.ignored);
  }
}
