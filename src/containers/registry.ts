// The table of scopes and containers, on the main thread: finds the container of each control group, waits for
// what its runtime tells of it, judges it once by the rules, gives it a slot, and tells the listener (policy
// map and pump) what it decided. It must never give a slot again before the listener heard that it is free.
import type { ContainerPath } from './cgroup-path.ts';
import { ContainerJudge, type RegistryRules } from './container-judge.ts';
import {
  containerKey,
  describe,
  EarlyDescriptions,
  isAbout,
  listed,
  newContainer,
  type Container,
  type KnownScope,
  type ListedContainer,
} from './container-table.ts';
import { DescriptionWait } from './description-wait.ts';
import { containerOfGroup, isEarly, isStateGone, isUnproven } from './container-of-group.ts';
import { cgroupIdOf, type FoundScope } from './found-scope.ts';
import { GoneScopes } from './gone-scopes.ts';
import { isNamesake, stripNamesakes } from './namesakes.ts';
import { isWorseTold } from './preference.ts';
import type { RegistryOptions, RegistryVerdict } from './registry-options.ts';
import type { ContainerMetadata } from './runtimes/runtime-source.ts';
import { cgroupVersionOfScope } from './scope.ts';
import type { ScopeDescribed } from './scope-records.ts';

/** Reason: sixteen groups a container (systemd inside); others of it are ignored, and counted. */
const SCOPES_PER_CONTAINER_MAX = 16;

export class ContainerRegistry {
  readonly #options: RegistryOptions;
  readonly #judge: ContainerJudge;
  readonly #scopes = new Map<bigint, KnownScope>();
  readonly #scopesByPath = new Map<string, bigint>();
  readonly #containers = new Map<string, Container>();
  readonly #earlyDescriptions = new EarlyDescriptions();
  readonly #undescribed = new DescriptionWait();
  readonly #gone = new GoneScopes<KnownScope>();
  #scopesFull = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#judge = new ContainerJudge(options, {
      freeSlot: (asking) => this.#freeSlot(asking),
      isNamesake: (container) => isNamesake(container, this.#containers.values()),
    });
  }

  /** Counts of what found no place; they only grow. */
  get counts(): { readonly containers_full: number; readonly scopes_full: number } {
    return { containers_full: this.#judge.containersFull, scopes_full: this.#scopesFull };
  }

  /** Judges a group that the scan or a record told of. A scope that is known keeps its verdict. */
  scopeFound(found: FoundScope): void {
    const entry = this.#scopes.get(found.scope);
    if (entry !== undefined) {
      if (!entry.isRemoved) return;
      this.#forget(entry);
    }
    const path = containerOfGroup(found, this.#options);
    const known = path === null ? this.#inherited(found) : this.#containers.get(containerKey(path));
    const container = known ?? (path === null ? null : this.#addContainer(path, found));
    if (container === null || !this.#hasRoom(container)) {
      this.#options.listener.scope(found.scope, 'ignore', 0, found.scope);
      return;
    }
    const pathKey = `${found.version}:${found.path}`;
    this.#scopes.set(found.scope, { scope: found.scope, pathKey, container, isRemoved: false });
    this.#scopesByPath.set(pathKey, found.scope);
    container.scopes.add(found.scope);
    this.#join(container, path, found);
    if (container.scopes.size > 1 || container.verdict !== 'unjudged') {
      this.#tellVerdict(found.scope, container);
      return;
    }
    this.#ask(container, () => this.#answered(container));
    const isWaiting = container.verdict === 'unjudged' && this.#containers.has(container.key);
    if (isWaiting) this.#tellVerdict(found.scope, container);
  }

  /** Takes what the kernel tells of a container's first process; the earliest process counts. */
  scopeDescribed(described: ScopeDescribed): void {
    const container = this.#scopes.get(described.scope)?.container;
    if (container === undefined) {
      this.#earlyDescriptions.keep(described);
      return;
    }
    if (!describe(container, described)) return;
    if (this.#undescribed.take(container)) this.#decide(container);
    else this.#judge.update(container);
  }

  /** Notes that a group went. Its verdict and slot stay for `keepAfterExitMs`, counted by `tick`. */
  scopeRemoved(scope: bigint): void {
    this.#earlyDescriptions.take(scope);
    const entry = this.#scopes.get(scope);
    if (entry === undefined) {
      this.#options.listener.scopeGone(scope);
      return;
    }
    entry.isRemoved = true;
    this.#gone.add(entry);
  }

  /** Frees what went longer than `keepAfterExitMs` ago. `nowMs` is any clock that only grows. */
  tick(nowMs: number): void {
    for (const container of this.#undescribed.tick(nowMs)) this.#decide(container);
    for (const entry of this.#gone.tick(nowMs, this.#options.keepAfterExitMs)) this.#forget(entry);
  }

  /** Lists the containers that are known, the denied and the just gone included. */
  list(): ListedContainer[] {
    return [...this.#containers.values()].map((container) => listed(container, this.#isThere(container)));
  }

  #isThere({ scopes }: Container): boolean {
    return [...scopes].some((scope) => this.#scopes.get(scope)?.isRemoved === false);
  }

  /** What was decided of the group's container; undefined where the group isn't known. */
  verdictOf(scope: bigint): RegistryVerdict | undefined {
    return this.#scopes.get(scope)?.container.verdict;
  }

  /** Resolves when every container that is known now has been judged. */
  settled(): Promise<void> {
    return this.#judge.settled();
  }

  /**
   * Takes an event of a runtime: a new name or new labels show from the next request on, and the verdict stays. A container
   * that was judged before anything was known of it is judged now. What a better source told stays.
   */
  metadataChanged(metadata: ContainerMetadata): void {
    for (const container of this.#containers.values()) {
      if (!isAbout(metadata, container) || container.verdict === 'unjudged') continue;
      if (isWorseTold(metadata, container.metadata) || isNamesake(container, this.#containers.values()))
        continue;
      const isNews = container.metadata === null;
      container.metadata = metadata;
      if (isNews) this.#judgeAgain(container);
      else this.#judge.update(container);
    }
  }

  /** Judges every container by other rules. One that stays traced loses nothing, and its resource is told anew. */
  reload(rules: RegistryRules): void {
    this.#judge.rules = rules;
    const unplaced: Container[] = [];
    for (const container of this.#containers.values()) {
      if (container.verdict === 'unjudged') continue;
      this.#ask(container, () => {
        if (!this.#judgeAgain(container)) unplaced.push(container);
      });
    }
    // By now those that the new rules deny may have left them a slot.
    for (const container of unplaced.splice(0)) this.#judgeAgain(container);
  }

  #ask(container: Container, answered: () => void): void {
    container.isAskedEarly = isEarly(container, this.#options);
    // The state of a bare runtime proves the container, be it by its end: that takes the whole wait.
    this.#judge.ask(container, () => isUnproven(container) || this.#isThere(container), answered);
  }

  /** False when there is no slot for it. */
  #judgeAgain(container: Container): boolean {
    if (this.#containers.get(container.key) !== container) return true;
    const before = container.verdict;
    const isPlaced = this.#judge.judge(container);
    if (container.verdict === before) return isPlaced;
    for (const scope of container.scopes) this.#tellVerdict(scope, container);
    return isPlaced;
  }

  /**
   * A path cut at its start may have lost the id: only then the kernel's inheritance decides. A whole
   * path that names no container below one is a runtime's helper (nspawn's supervisor).
   */
  #inherited(found: FoundScope): Container | null {
    if (found.isPathTruncated !== true || found.containerScope === undefined) return null;
    return this.#scopes.get(found.containerScope)?.container ?? null;
  }

  #hasRoom(container: Container): boolean {
    const scopesMax = this.#options.containersMax * SCOPES_PER_CONTAINER_MAX;
    if (container.scopes.size === 0 || this.#scopes.size < scopesMax) return true;
    this.#scopesFull++;
    return false;
  }

  #addContainer(path: ContainerPath, found: FoundScope): Container | null {
    if (this.#containers.size >= 2 * this.#options.containersMax && !this.#forgetGone()) {
      this.#judge.tellFull();
      return null;
    }
    const container = newContainer(path, found);
    this.#containers.set(container.key, container);
    for (const namesake of stripNamesakes(container, this.#containers.values())) {
      if (namesake.verdict !== 'unjudged') this.#judgeAgain(namesake);
    }
    return container;
  }

  /** Judges a container once its runtime has answered, or nobody knows it. */
  #answered(container: Container): void {
    // Forgotten meanwhile: its groups went longer ago than they are kept.
    if (this.#containers.get(container.key) !== container) return;
    const isOver = !this.#isThere(container) && isStateGone(container.path, this.#options);
    if (isUnproven(container) && !isOver) {
      if (!container.isAskedEarly) return this.#dropContainer(container);
      container.isAsked = false;
      return this.#ask(container, () => this.#answered(container));
    }
    const mustWait =
      this.#options.waitsForDescription === true && container.isAsked && container.startedBootNs === null;
    if (mustWait && this.#isThere(container)) this.#undescribed.hold(container);
    else this.#decide(container);
  }

  #decide(container: Container): void {
    if (!this.#judge.judge(container)) return this.#dropContainer(container);
    for (const scope of container.scopes) this.#tellVerdict(scope, container);
  }

  #dropContainer(container: Container): void {
    this.#containers.delete(container.key);
    for (const scope of container.scopes) {
      this.#options.listener.scope(scope, 'ignore', 0, scope);
      this.#dropScope(scope);
    }
  }

  /** Takes over what the container's new group tells of it. */
  #join(container: Container, path: ContainerPath | null, found: FoundScope): void {
    const isBetter =
      path?.isOwnGroup === true && (found.version === 'v2' || container.cgroupVersion === 'v1');
    let isChanged = false;
    if (isBetter && container.scope !== found.scope) {
      container.scope = found.scope;
      container.cgroupPath = found.path;
      container.cgroupVersion = found.version;
      container.cgroupId = cgroupIdOf(found);
      isChanged = true;
    }
    const early = this.#earlyDescriptions.take(found.scope);
    if (early !== undefined && describe(container, early)) isChanged = true;
    if (isChanged) this.#judge.update(container);
  }

  #tellVerdict(scope: bigint, container: Container, slot = container.slot): void {
    const own = this.#scopesByPath.get(`${cgroupVersionOfScope(scope)}:${container.path.groupPath}`) ?? scope;
    this.#options.listener.scope(scope, container.verdict, slot, own);
  }

  /** Frees the slot of the container that is gone for longest, else of one that is denied by now; false: there is none. */
  #freeSlot(asking: Container): boolean {
    if (this.#forgetGone(asking)) return true;
    for (const denied of this.#containers.values()) {
      if (denied.slot === 0 || denied.verdict !== 'deny') continue;
      for (const scope of denied.scopes) this.#tellVerdict(scope, denied, 0);
      this.#judge.giveSlot(denied);
      return true;
    }
    return false;
  }

  /** Forgets the container that is gone for longest; false when none is gone for long enough. */
  #forgetGone(except: Container | null = null): boolean {
    for (const entry of this.#gone.forgettable(({ container }) => container.slot !== 0)) {
      if (entry.container.verdict === 'unjudged' || entry.container === except) continue;
      this.#forget(entry);
      if (entry.container.scopes.size === 0) return true;
    }
    return false;
  }

  #forget(entry: KnownScope): void {
    this.#dropScope(entry.scope);
    const { container } = entry;
    container.scopes.delete(entry.scope);
    this.#options.listener.scopeGone(entry.scope);
    if (container.scopes.size > 0) return;
    this.#containers.delete(container.key);
    this.#undescribed.take(container);
    this.#judge.giveSlot(container);
  }

  #dropScope(scope: bigint): void {
    const entry = this.#scopes.get(scope);
    if (entry === undefined) return;
    this.#gone.delete(entry);
    this.#scopes.delete(scope);
    if (this.#scopesByPath.get(entry.pathKey) === scope) this.#scopesByPath.delete(entry.pathKey);
  }
}
