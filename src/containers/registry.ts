// The table of scopes and containers, on the main thread: judges each control group by its path and
// the rules, gives containers their slots, and tells the listener (policy map and pump) what it
// decided. It must never give a slot again before the listener heard that its container is gone.
import type { Attributes } from '../model/attributes.ts';
import type { ContainerUpdate } from '../model/container-slot.ts';
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';
import {
  cgroupIdOf,
  containerKey,
  describe,
  NAMESPACE_COUNT,
  SlotPool,
  type Container,
  type ListedContainer,
  type ScopeOwner,
} from './container-table.ts';
import { hasContainerdTask } from './containerd-tasks.ts';
import { containerAttributes } from './resource.ts';
import type { ContainerRules } from './rules.ts';
import type { CgroupVersion } from './scope.ts';
import type { ScopeDescribed } from './scope-records.ts';

export type RegistryVerdict = 'trace' | 'deny' | 'ignore';

export interface RegistryListener {
  /** A traced container is new, or its resource changed. Comes before the `scope` calls of its slot. */
  container(update: ContainerUpdate): void;
  containerGone(slot: number): void;
  /** `slot` counts for `trace` only; `containerScope` is the container's own group where it is known. */
  scope(scope: bigint, verdict: RegistryVerdict, slot: number, containerScope: bigint): void;
  scopeGone(scope: bigint): void;
  /** Told once: no slot is free, and such containers are ignored until one is. */
  containersFull(containersMax: number): void;
}

export interface RegistryOptions {
  readonly containersMax: number;
  /** How long scope and slot are kept after the group went: records may still wait. */
  readonly keepAfterExitMs: number;
  readonly hostAttributes: Attributes;
  readonly extraAttributes: Attributes;
  readonly distroVersion: string;
  readonly rules: ContainerRules;
  readonly encodeResource: (attributes: Attributes) => Uint8Array;
  readonly listener: RegistryListener;
  /** Proves a group that only looks like containerd's; by default containerd's state folder does. */
  readonly confirmGuess?: (namespace: string, id: string) => boolean;
}

export interface FoundScope extends ScopeOwner {
  readonly scope: bigint;
  /** What the kernel let it inherit from; the scope itself, or left out, where nothing. */
  readonly containerScope?: bigint;
  /** From the hierarchy's root (latin1). */
  readonly path: string;
  readonly isPathTruncated?: boolean;
  readonly version: CgroupVersion;
}

interface Scope {
  readonly scope: bigint;
  readonly pathKey: string;
  readonly container: Container;
  /** null while the group exists; then the first tick's time after it went. */
  removedAtMs: number | null;
  isRemoved: boolean;
}

/** Reason: a description can only precede its scope by what the ring holds; the oldest goes first. */
const EARLY_DESCRIPTIONS_MAX = 1024;

/** Reason: sixteen groups a container (systemd inside); others of it are ignored, and counted. */
const SCOPES_PER_CONTAINER_MAX = 16;

export class ContainerRegistry {
  readonly #options: RegistryOptions;
  readonly #slots: SlotPool;
  readonly #scopes = new Map<bigint, Scope>();
  readonly #scopesByPath = new Map<string, bigint>();
  readonly #containers = new Map<string, Container>();
  readonly #earlyDescriptions = new Map<bigint, ScopeDescribed>();
  readonly #removed = new Set<Scope>();
  #isFullTold = false;
  #containersFull = 0;
  #scopesFull = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#slots = new SlotPool(options.containersMax);
  }

  /** Counts of what found no place; they only grow. */
  get counts(): { readonly containers_full: number; readonly scopes_full: number } {
    return { containers_full: this.#containersFull, scopes_full: this.#scopesFull };
  }

  /** Judges a group that the scan or a record told of. A scope that is known keeps its verdict. */
  scopeFound(found: FoundScope): void {
    const known = this.#scopes.get(found.scope);
    if (known !== undefined) {
      if (!known.isRemoved) return;
      this.#forget(known);
    }
    const path = this.#identify(found);
    const container = path === null ? this.#inherited(found) : this.#containerOf(path, found);
    if (container === null || !this.#hasRoom(container)) {
      this.#options.listener.scope(found.scope, 'ignore', 0, found.scope);
      return;
    }
    const pathKey = `${found.version}:${found.path}`;
    this.#scopes.set(found.scope, {
      scope: found.scope,
      pathKey,
      container,
      removedAtMs: null,
      isRemoved: false,
    });
    this.#scopesByPath.set(pathKey, found.scope);
    container.scopes.add(found.scope);
    this.#announce(container, path, found);
  }

  /** Takes what the kernel tells of a container's first process; the earliest process counts. */
  scopeDescribed(described: ScopeDescribed): void {
    const container = this.#scopes.get(described.scope)?.container;
    if (container === undefined) {
      this.#keepEarly(described);
      return;
    }
    if (!describe(container, described)) return;
    if (container.slot !== 0) this.#update(container);
  }

  /** Notes that a group went. Its verdict and slot stay for `keepAfterExitMs`, counted by `tick`. */
  scopeRemoved(scope: bigint): void {
    this.#earlyDescriptions.delete(scope);
    const entry = this.#scopes.get(scope);
    if (entry === undefined) {
      this.#options.listener.scopeGone(scope);
      return;
    }
    entry.isRemoved = true;
    this.#removed.add(entry);
  }

  /** Frees what went longer than `keepAfterExitMs` ago. `nowMs` is any clock that only grows. */
  tick(nowMs: number): void {
    for (const entry of this.#removed) {
      entry.removedAtMs ??= nowMs;
      if (nowMs - entry.removedAtMs >= this.#options.keepAfterExitMs) this.#forget(entry);
    }
  }

  /** Lists the containers that are known, the denied and the just gone included. */
  list(): ListedContainer[] {
    return [...this.#containers.values()].map((container) => ({
      id: container.path.containerId,
      runtime: container.path.runtime,
      podUid: container.path.podUid,
      parentId: container.path.parentId,
      slot: container.slot,
      verdict: container.slot === 0 ? 'deny' : 'trace',
      rule: container.rule,
      cgroupPath: container.cgroupPath,
      cgroupVersion: container.cgroupVersion,
      hostname: container.hostname,
      pid: container.pid,
      scopes: [...container.scopes],
      isRunning: [...container.scopes].some((scope) => this.#scopes.get(scope)?.isRemoved === false),
    }));
  }

  /** The container that the group's own path names, unless it is a guess without proof. */
  #identify(found: FoundScope): ContainerPath | null {
    if (found.container !== undefined) return found.container;
    const path = containerOfPath(found.path);
    if (path === null || !path.isGuess) return path;
    const namespace = path.groupPath.split('/').at(-2) ?? '';
    const isProven = (this.#options.confirmGuess ?? hasContainerdTask)(namespace, path.containerId);
    return isProven && found.isPathTruncated !== true ? path : null;
  }

  /**
   * A path cut at its start may have lost the id: only then the kernel's inheritance decides. A whole
   * path that names no container below one is a runtime's helper (nspawn's supervisor).
   */
  #inherited(found: FoundScope): Container | null {
    if (found.isPathTruncated !== true || found.containerScope === undefined) return null;
    return this.#scopes.get(found.containerScope)?.container ?? null;
  }

  #containerOf(path: ContainerPath, found: FoundScope): Container | null {
    return this.#containers.get(containerKey(path)) ?? this.#addContainer(path, found);
  }

  #hasRoom(container: Container): boolean {
    if (container.scopes.size === 0) return true;
    if (this.#scopes.size < this.#options.containersMax * SCOPES_PER_CONTAINER_MAX) return true;
    this.#scopesFull++;
    return false;
  }

  #addContainer(path: ContainerPath, found: FoundScope): Container | null {
    const { containerId: id, runtime } = path;
    const { isAllowed, rule } = this.#options.rules.judge({ id, runtime, cgroup: path.groupPath });
    const slot = isAllowed ? this.#slots.take() : 0;
    const isFull = isAllowed ? slot === 0 : this.#containers.size >= 2 * this.#options.containersMax;
    if (isFull) {
      this.#containersFull++;
      if (!this.#isFullTold) this.#options.listener.containersFull(this.#options.containersMax);
      this.#isFullTold = true;
      return null;
    }
    const container: Container = {
      key: containerKey(path),
      path,
      slot,
      rule,
      scopes: new Set(),
      scope: found.scope,
      cgroupPath: path.groupPath,
      cgroupVersion: found.version,
      cgroupId: cgroupIdOf(found),
      namespaces: new Uint32Array(NAMESPACE_COUNT),
      hostname: '',
      pid: 0,
      startedBootNs: null,
    };
    this.#containers.set(container.key, container);
    return container;
  }

  /** Tells the listener of a scope that just joined its container. */
  #announce(container: Container, path: ContainerPath | null, found: FoundScope): void {
    const isBetter =
      path?.isOwnGroup === true && (found.version === 'v2' || container.cgroupVersion === 'v1');
    let isChanged = container.scopes.size === 1;
    if (isBetter && container.scope !== found.scope) {
      container.scope = found.scope;
      container.cgroupPath = found.path;
      container.cgroupVersion = found.version;
      container.cgroupId = cgroupIdOf(found);
      isChanged = true;
    }
    const early = this.#earlyDescriptions.get(found.scope);
    this.#earlyDescriptions.delete(found.scope);
    if (early !== undefined && describe(container, early)) isChanged = true;
    if (isChanged && container.slot !== 0) this.#update(container);
    const verdict = container.slot === 0 ? 'deny' : 'trace';
    this.#options.listener.scope(found.scope, verdict, container.slot, this.#ownScope(path, found));
  }

  /** The container's own group in the hierarchy of `found`, or `found` itself where it isn't known. */
  #ownScope(path: ContainerPath | null, found: FoundScope): bigint {
    if (path === null) return found.containerScope ?? found.scope;
    return this.#scopesByPath.get(`${found.version}:${path.groupPath}`) ?? found.scope;
  }

  #update(container: Container): void {
    const attributes = containerAttributes(
      {
        path: container.path,
        cgroupId: container.cgroupId,
        cgroupPath: container.cgroupPath,
        cgroupVersion: container.cgroupVersion,
        namespaces: container.namespaces,
        hostname: container.hostname,
      },
      this.#options,
    );
    const resourceBytes = this.#options.encodeResource(attributes);
    const { slot, namespaces } = container;
    this.#options.listener.container({ slot, resourceBytes, namespaces: namespaces.slice() });
  }

  #keepEarly(described: ScopeDescribed): void {
    if (this.#earlyDescriptions.size >= EARLY_DESCRIPTIONS_MAX) {
      const oldest = this.#earlyDescriptions.keys().next();
      if (!oldest.done) this.#earlyDescriptions.delete(oldest.value);
    }
    this.#earlyDescriptions.set(described.scope, described);
  }

  #forget(entry: Scope): void {
    this.#removed.delete(entry);
    this.#scopes.delete(entry.scope);
    if (this.#scopesByPath.get(entry.pathKey) === entry.scope) this.#scopesByPath.delete(entry.pathKey);
    const { container } = entry;
    container.scopes.delete(entry.scope);
    this.#options.listener.scopeGone(entry.scope);
    if (container.scopes.size > 0) return;
    this.#containers.delete(container.key);
    if (container.slot === 0) return;
    this.#options.listener.containerGone(container.slot);
    this.#slots.give(container.slot);
  }
}
