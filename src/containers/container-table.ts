// The containers that are known, and the free slots. A slot goes back only after the pump was told.
import type { ContainerPath } from './cgroup-path.ts';
import { isHexId } from './cgroup-segment.ts';
import { cgroupIdOf, type FoundScope } from './found-scope.ts';
import type { CgroupVersion } from './scope.ts';
import type { ContainerMetadata, ContainerQuestion } from './runtimes/runtime-source.ts';
import { userOfGroup } from './runtimes/user-slice.ts';
import type { ScopeDescribed } from './scope-records.ts';
import { isToldOf } from './told-of.ts';

/** `unjudged`: its runtime is being asked. */
export type ContainerVerdict = 'unjudged' | 'trace' | 'deny';

export interface Container {
  readonly key: string;
  readonly path: ContainerPath;
  /** The user, or the outermost container, that may make any number of such; null: root of the host. */
  readonly owner: string | null;
  /** 1…containersMax; 0 while it isn't judged, and for a denied container that never was allowed. */
  slot: number;
  rule: string | null;
  verdict: ContainerVerdict;
  /** Whether its runtime is or was asked. */
  isAsked: boolean;
  /** How often. */
  asks: number;
  /** Its runtime was still making it when it was asked last. */
  isAskedEarly: boolean;
  /** It is being asked, and hasn't answered yet. */
  isBeingAsked: boolean;
  /** What its runtime told; null where none knows it, or before it was asked. */
  metadata: ContainerMetadata | null;
  /** Its groups, nested ones included, in every watched hierarchy. */
  readonly scopes: Set<bigint>;
  /** The group that the resource tells of; v2 goes before v1. */
  scope: bigint;
  cgroupPath: string;
  cgroupVersion: CgroupVersion;
  /** null where it isn't known. */
  cgroupId: bigint | null;
  namespaces: Uint32Array;
  hostname: string;
  pid: number;
  startedBootNs: bigint | null;
}

/** A group of a container. */
export interface KnownScope {
  readonly scope: bigint;
  readonly pathKey: string;
  readonly container: Container;
  isRemoved: boolean;
}

const NAMESPACE_COUNT = 7;

/** A container of which only a group is known. */
export function newContainer(path: ContainerPath, found: FoundScope): Container {
  return {
    key: containerKey(path),
    path,
    owner: ownerOf(path),
    slot: 0,
    rule: null,
    verdict: 'unjudged',
    // No runtime knows a namespace's number.
    isAsked: path.instance !== undefined,
    asks: 0,
    isAskedEarly: false,
    isBeingAsked: false,
    metadata: null,
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
}

function ownerOf(path: ContainerPath): string | null {
  const user = userOfGroup(path.groupPath);
  if (user !== null) return `user ${user}`;
  return path.parentId === null ? null : `in ${path.outerIds?.[0] ?? path.parentId}`;
}

/**
 * Returns what tells containers apart. Hex ids are unique; free ones (`web`) only where they are.
 * The outer containers are part of it: a container may give groups below it the names of others, and of theirs.
 */
export function containerKey(path: ContainerPath): string {
  const place = path.instance ?? (isHexId(path.containerId) ? '' : path.groupPath);
  // A user may name a group of their own by the id of another's container.
  const owner = userOfGroup(path.groupPath) ?? '';
  const outer = [...(path.outerIds ?? []), path.parentId ?? ''].join('/');
  return `${owner}\n${outer}\n${path.runtime}\n${place}\n${path.containerId}`;
}

/** Whether a group of that path is another container's than the one that is known. `isThere`: whether that has a group. */
export function isMadeAgain(
  known: Container,
  { isOwnGroup }: ContainerPath,
  found: FoundScope,
  isThere: () => boolean,
): boolean {
  const id = cgroupIdOf(found);
  const isSamePath = found.version === known.cgroupVersion && found.path === known.cgroupPath;
  // Numbers of groups aren't given again, and the word of the removal may have been lost or not have come yet.
  if (isOwnGroup && isSamePath && id !== null && known.cgroupId !== null) return id !== known.cgroupId;
  return !isThere();
}

/** Lets the resource tell of the container's own group, v2 before v1; false when it tells of a better one, or of this. */
export function takeGroup(container: Container, { isOwnGroup }: ContainerPath, found: FoundScope): boolean {
  const isBetter = isOwnGroup && (found.version === 'v2' || container.cgroupVersion === 'v1');
  if (!isBetter || container.scope === found.scope) return false;
  container.scope = found.scope;
  container.cgroupPath = found.path;
  container.cgroupVersion = found.version;
  container.cgroupId = cgroupIdOf(found);
  return true;
}

/** Whether an event of a runtime is about this container. */
export function isAbout(metadata: ContainerMetadata, { path, metadata: known }: Container): boolean {
  if (known !== null && known.runtimeName !== metadata.runtimeName) return false;
  return isToldOf(metadata, questionOf(path), known?.runtimeName ?? path.runtime);
}

/** What runtimes are asked about it. */
export function questionOf({ containerId, groupPath, parentId }: ContainerPath): ContainerQuestion {
  return { id: containerId, cgroupPath: groupPath, isNested: parentId !== null };
}

/** Hands out the numbers 1…slotsMax, the longest unused first. */
export class SlotPool {
  readonly #slotsMax: number;
  readonly #free: number[] = [];
  #used = 0;

  constructor(slotsMax: number) {
    this.#slotsMax = slotsMax;
  }

  /** Takes a slot; 0 when all are taken. */
  take(): number {
    if (this.#used < this.#slotsMax) return ++this.#used;
    return this.#free.shift() ?? 0;
  }

  give(slot: number): void {
    this.#free.push(slot);
  }
}

/** Takes a description over; false when the container has an earlier one. */
export function describe(container: Container, described: ScopeDescribed): boolean {
  const { startedBootNs } = container;
  if (startedBootNs !== null && startedBootNs <= described.processStartedBootNs) return false;
  container.startedBootNs = described.processStartedBootNs;
  container.namespaces = described.namespaces;
  container.hostname = described.hostname;
  container.pid = described.pid;
  return true;
}

/** Reason: a description can only precede its scope by what the ring holds; the oldest goes first. */
const EARLY_DESCRIPTIONS_MAX = 1024;

/** What the kernel told of scopes that aren't known yet. */
export class EarlyDescriptions {
  readonly #byScope = new Map<bigint, ScopeDescribed>();

  keep(described: ScopeDescribed): void {
    if (this.#byScope.size >= EARLY_DESCRIPTIONS_MAX) {
      const [oldest] = this.#byScope.keys();
      this.#byScope.delete(oldest);
    }
    this.#byScope.set(described.scope, described);
  }

  /** Returns and forgets it. */
  take(scope: bigint): ScopeDescribed | undefined {
    const described = this.#byScope.get(scope);
    this.#byScope.delete(scope);
    return described;
  }
}

/** One line of `fdspan containers`. */
export interface ListedContainer {
  readonly id: string;
  readonly runtime: string;
  readonly podUid: string | null;
  readonly parentId: string | null;
  readonly name: string | null;
  readonly image: string | null;
  readonly slot: number;
  readonly verdict: ContainerVerdict;
  /** The rule that decided (`deny[0]`); null where none did. */
  readonly rule: string | null;
  readonly cgroupPath: string;
  readonly cgroupVersion: CgroupVersion;
  readonly hostname: string;
  readonly pid: number;
  readonly scopes: readonly bigint[];
  readonly isRunning: boolean;
}

/** What `fdspan containers` shows of a container. */
export function listed(container: Container, isRunning: boolean): ListedContainer {
  const { path, metadata } = container;
  return {
    id: path.containerId,
    runtime: metadata?.runtimeName ?? path.runtime,
    podUid: metadata?.pod?.uid ?? path.podUid,
    parentId: path.parentId,
    name: metadata?.name ?? metadata?.pod?.containerName ?? null,
    image: metadata?.imageName ?? null,
    slot: container.slot,
    verdict: container.verdict,
    rule: container.rule,
    cgroupPath: container.cgroupPath,
    cgroupVersion: container.cgroupVersion,
    hostname: container.hostname,
    pid: container.pid,
    scopes: [...container.scopes],
    isRunning,
  };
}
