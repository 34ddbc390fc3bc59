// The containers that are known, and the free slots. A slot goes back only after the pump was told.
import type { ContainerPath } from './cgroup-path.ts';
import { isHexId } from './cgroup-segment.ts';
import { idOfScope, type CgroupVersion } from './scope.ts';
import type { ScopeDescribed } from './scope-records.ts';

export interface Container {
  readonly key: string;
  readonly path: ContainerPath;
  /** 1…containersMax; 0 for a denied container. */
  readonly slot: number;
  readonly rule: string | null;
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

export const NAMESPACE_COUNT = 7;

/**
 * Returns what tells containers apart. Hex ids are unique; free ones (`web`) only where they are.
 * The outer container is part of it: a container may give a group below it the name of another.
 */
export function containerKey(path: ContainerPath): string {
  const place = path.instance ?? (isHexId(path.containerId) ? '' : path.groupPath);
  return `${path.parentId ?? ''}\n${path.runtime}\n${place}\n${path.containerId}`;
}

/** What is told beside a scope that is no control group: of a namespace. */
export interface ScopeOwner {
  readonly scope: bigint;
  /** Whose it is; null: no container's. Left out, the group's path tells. */
  readonly container?: ContainerPath | null;
  /** Id of the container's group; null: not known. Left out, the scope holds it. */
  readonly cgroupId?: bigint | null;
}

export function cgroupIdOf({ scope, cgroupId }: ScopeOwner): bigint | null {
  return cgroupId === undefined ? idOfScope(scope) : cgroupId;
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

/** One line of `fdspan containers`. */
export interface ListedContainer {
  readonly id: string;
  readonly runtime: string;
  readonly podUid: string | null;
  readonly parentId: string | null;
  readonly slot: number;
  readonly verdict: 'trace' | 'deny';
  /** The rule that decided (`deny[0]`); null where none did. */
  readonly rule: string | null;
  readonly cgroupPath: string;
  readonly cgroupVersion: CgroupVersion;
  readonly hostname: string;
  readonly pid: number;
  readonly scopes: readonly bigint[];
  readonly isRunning: boolean;
}
