// The table of scopes and containers, on the main thread: finds the container of each control group, waits for
// what its runtime tells of it, judges it once by the rules, gives it a slot, and tells the listener (policy
// map and pump) what it decided. It must never give a slot again before the listener heard that it is free.
import type { ContainerPath } from './cgroup-path.ts';
import { ContainerJudge, type RegistryRules } from './container-judge.ts';
import {
  describe,
  EarlyDescriptions,
  isAbout,
  listed,
  takeGroup,
  type Container,
  type ListedContainer,
} from './container-table.ts';
import { DescriptionWait } from './description-wait.ts';
import { containerOfGroup, isEarly, isStateGone, isUnproven } from './container-of-group.ts';
import type { FoundScope } from './found-scope.ts';
import { isNamesake, stripNamesakes } from './namesakes.ts';
import { Places } from './places.ts';
import { isBetterTold, isWorseTold } from './preference.ts';
import type { RegistryNeeds, RegistryOptions, RegistryVerdict } from './registry-options.ts';
import type { ContainerMetadata } from './runtimes/runtime-source.ts';
import { SecondAsks } from './second-asks.ts';
import type { ScopeDescribed } from './scope-records.ts';

export class ContainerRegistry {
  readonly #options: RegistryOptions;
  readonly #judge: ContainerJudge;
  readonly #places: Places;
  readonly #earlyDescriptions = new EarlyDescriptions();
  readonly #undescribed = new DescriptionWait();
  readonly #secondAsks: SecondAsks;
  #isAllowedLater = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#places = new Places({
      containersMax: options.containersMax,
      ignored: (scope) => options.listener.scope(scope, 'ignore', 0, scope),
      refused: (scope) => options.listener.scope(scope, options.noPlaceVerdict ?? 'ignore', 0, scope),
      full: () => this.#judge.tellFull(),
      scopeGone: (scope) => options.listener.scopeGone(scope),
      replaced: (slot) => options.listener.containerReplaced?.(slot),
      forgotten: (container) => this.#forgotten(container),
    });
    this.#secondAsks = new SecondAsks(options.isRuntimePaused ?? (() => false));
    this.#judge = new ContainerJudge(options, {
      freeSlot: (asking) => this.#freeSlot(asking),
      isNamesake: (container) => isNamesake(container, this.#places.containers.newest()),
      isOutlived: (container) => this.#places.containers.isOutlived(container),
    });
  }

  /** Counts of what found no place; they only grow. */
  get counts(): { readonly containers_full: number; readonly scopes_full: number } {
    return { containers_full: this.#judge.containersFull, scopes_full: this.#places.scopes.full };
  }

  /** Judges a group that the scan or a record told of. A scope that is known keeps its verdict. */
  scopeFound(found: FoundScope): void {
    const entry = this.#places.scopes.get(found.scope);
    if (entry !== undefined) {
      if (!entry.isRemoved) return;
      this.#places.forget(entry);
    }
    const path = containerOfGroup(found, this.#options);
    const container = path === null ? this.#inherited(found) : this.#containerOf(path, found);
    if (container === null) {
      if (path === null) this.#options.listener.scope(found.scope, 'ignore', 0, found.scope);
      return;
    }
    if (!this.#places.hasRoom(found.scope, container)) return;
    this.#places.scopes.add(found, container);
    this.#join(container, path, found);
    if (container.scopes.size > 1 || container.verdict !== 'unjudged') {
      this.#tellVerdict(found.scope, container);
      return;
    }
    this.#ask(container, () => this.#answered(container));
    const isWaiting = container.verdict === 'unjudged' && this.#places.containers.has(container);
    if (isWaiting) this.#tellVerdict(found.scope, container);
  }

  /** Takes what the kernel tells of a container's first process; the earliest process counts. */
  scopeDescribed(described: ScopeDescribed): void {
    const container = this.#places.scopes.get(described.scope)?.container;
    if (container === undefined) {
      this.#earlyDescriptions.keep(described);
      return;
    }
    if (!describe(container, described)) return;
    if (this.#undescribed.take(container)) this.#decide(container);
    else if (!this.#places.containers.isOutlived(container)) this.#judge.update(container);
  }

  /** Notes that a group went. Its verdict and slot stay for `keepAfterExitMs`, counted by `tick`. */
  scopeRemoved(scope: bigint): void {
    this.#earlyDescriptions.take(scope);
    this.#places.refusals.delete(scope);
    const entry = this.#places.scopes.get(scope);
    if (entry === undefined) {
      this.#options.listener.scopeGone(scope);
      return;
    }
    this.#places.scopes.remove(entry);
  }

  /**
   * Frees what went longer than `keepAfterExitMs` ago, and asks again where more may be known by now. `nowMs` is any clock
   * that only grows. Returns what only the caller can do.
   */
  tick(nowMs: number): RegistryNeeds {
    for (const container of this.#undescribed.tick(nowMs)) this.#decide(container);
    for (const entry of this.#places.scopes.gone.tick(nowMs, this.#options.keepAfterExitMs))
      this.#places.forget(entry);
    const due = this.#secondAsks.take(nowMs, this.#judge.asking, this.#places.containers.newest());
    for (const container of due) this.#askAgain(container);
    const needs = { look: this.#places.refusals.takeLook(nowMs), description: this.#isAllowedLater };
    this.#isAllowedLater = false;
    return needs;
  }

  /** A runtime's source answers again: it is asked about all of which it may know more. */
  sourceIsBack(): void {
    this.#secondAsks.sourceIsBack();
    this.#places.refusals.sourceIsBack();
  }

  /** Lists the containers that are known, the denied and the just gone included. */
  list(): ListedContainer[] {
    return [...this.#places.containers.all()].map((container) =>
      listed(container, this.#places.scopes.isThere(container)),
    );
  }

  /** What was decided of the group's container; undefined where the group isn't known. */
  verdictOf(scope: bigint): RegistryVerdict | undefined {
    const container = this.#places.scopes.get(scope)?.container;
    // One that was dropped after its group went is ignored.
    return container !== undefined && this.#places.containers.has(container) ? container.verdict : undefined;
  }

  /** Resolves when every container that is known now has been judged. */
  settled(): Promise<void> {
    return this.#judge.settled();
  }

  /**
   * Takes an event of a runtime: a new name or new labels show from the next request on, and the verdict stays. A container
   * that was judged before this much was known of it is judged now. What a better source told stays.
   */
  metadataChanged(metadata: ContainerMetadata): void {
    for (const container of this.#places.containers.newest()) {
      if (!isAbout(metadata, container) || container.verdict === 'unjudged') continue;
      if (isWorseTold(metadata, container.metadata)) continue;
      if (isNamesake(container, this.#places.containers.newest())) continue;
      const isNews = isBetterTold(metadata, container.metadata, container.path.runtime);
      container.metadata = metadata;
      if (isNews) this.#placeAgain(container);
      else this.#judge.update(container);
    }
  }

  /** Judges every container by other rules. One that stays traced loses nothing, and its resource is told anew. */
  reload(rules: RegistryRules): void {
    this.#judge.rules = rules;
    const unplaced: Container[] = [];
    for (const container of this.#places.containers.all()) {
      if (container.verdict === 'unjudged' || this.#places.containers.isOutlived(container)) continue;
      this.#ask(container, () => {
        if (!this.#judgeAgain(container)) unplaced.push(container);
      });
    }
    // By now those that the new rules deny may have left them a slot.
    for (const container of unplaced.splice(0)) this.#placeAgain(container);
    this.#secondAsks.again(this.#places.containers.newest());
  }

  #ask(container: Container, answered: () => void): void {
    container.isAskedEarly = isEarly(container, this.#options);
    // The state of a bare runtime proves the container, be it by its end: that takes the whole wait.
    this.#judge.ask(
      container,
      () => isUnproven(container) || this.#places.scopes.isThere(container),
      answered,
    );
  }

  #askAgain(container: Container): void {
    if (!this.#places.scopes.isThere(container)) return;
    container.isAsked = false;
    const answered = (): void => {
      this.#placeAgain(container);
      if (this.#places.containers.has(container)) this.#secondAsks.answered(container);
    };
    this.#judge.ask(container, () => this.#places.scopes.isThere(container), answered, true);
  }

  /** Judges it again, and ignores it where there is no slot for it. */
  #placeAgain(container: Container): void {
    if (!this.#judgeAgain(container)) this.#refuse(container);
  }

  /** False when there is no slot for it. */
  #judgeAgain(container: Container): boolean {
    if (!this.#places.containers.has(container)) return true;
    const before = container.verdict;
    const isPlaced = this.#judge.judge(container);
    if (container.verdict === before) return isPlaced;
    this.#isAllowedLater ||= container.verdict === 'trace';
    if (container.verdict === 'deny' && container.slot !== 0) this.#places.refusals.roomCame();
    for (const scope of container.scopes) this.#tellVerdict(scope, container);
    return isPlaced;
  }

  /**
   * A path cut at its start may have lost the id: only then the kernel's inheritance decides. A whole
   * path that names no container below one is a runtime's helper (nspawn's supervisor).
   */
  #inherited(found: FoundScope): Container | null {
    if (found.isPathTruncated !== true || found.containerScope === undefined) return null;
    return this.#places.scopes.get(found.containerScope)?.container ?? null;
  }

  /** null: it was refused. */
  #containerOf(path: ContainerPath, found: FoundScope): Container | null {
    const container = this.#places.containerOf(path, found);
    if (container === null || container.scopes.size > 0) return container;
    for (const namesake of stripNamesakes(container, this.#places.containers.newest())) {
      if (namesake.verdict !== 'unjudged') this.#placeAgain(namesake);
    }
    return container;
  }

  /** Judges a container once its runtime has answered, or nobody knows it. */
  #answered(container: Container): void {
    // Forgotten meanwhile: its groups went longer ago than they are kept.
    if (!this.#places.containers.has(container)) return;
    const isOver = !this.#places.scopes.isThere(container) && isStateGone(container.path, this.#options);
    if (isUnproven(container) && !isOver) {
      if (!container.isAskedEarly) return this.#places.dropUnproven(container);
      container.isAsked = false;
      return this.#ask(container, () => this.#answered(container));
    }
    this.#secondAsks.answered(container);
    const mustWait =
      this.#options.waitsForDescription === true && container.isAsked && container.startedBootNs === null;
    if (mustWait && this.#places.scopes.isThere(container)) this.#undescribed.hold(container);
    else this.#decide(container);
  }

  #decide(container: Container): void {
    if (!this.#judge.judge(container)) return this.#refuse(container);
    for (const scope of container.scopes) this.#tellVerdict(scope, container);
  }

  /** There is no slot for it. */
  #refuse(container: Container): void {
    this.#secondAsks.forget(container);
    this.#places.refuse(container);
  }

  /** Takes over what the container's new group tells of it. */
  #join(container: Container, path: ContainerPath | null, found: FoundScope): void {
    let isChanged = path !== null && takeGroup(container, path, found);
    const early = this.#earlyDescriptions.take(found.scope);
    if (early !== undefined && describe(container, early)) isChanged = true;
    if (isChanged) this.#judge.update(container);
  }

  #tellVerdict(scope: bigint, container: Container, slot = container.slot): void {
    if (container.verdict !== 'unjudged') this.#places.refusals.delete(scope);
    const own = this.#places.scopes.ownGroupOf(scope, container);
    this.#options.listener.scope(scope, container.verdict, slot, own);
  }

  /** Frees the slot of the container that is gone for longest, else of one that is denied by now; false: there is none. */
  #freeSlot(asking: Container): boolean {
    if (this.#places.forgetGone(asking)) return true;
    for (const denied of this.#places.containers.all()) {
      if (denied.slot === 0 || denied.verdict !== 'deny') continue;
      for (const scope of denied.scopes) this.#tellVerdict(scope, denied, 0);
      this.#judge.giveSlot(denied);
      return true;
    }
    return false;
  }

  #forgotten(container: Container): void {
    this.#undescribed.take(container);
    this.#secondAsks.forget(container);
    this.#judge.giveSlot(container);
  }
}
