// A control group that the scan or a record of the kernel told of; or a namespace, with the group of a process in it.
import type { ContainerPath } from './cgroup-path.ts';
import { idOfScope, type CgroupVersion } from './scope.ts';

export interface FoundScope {
  readonly scope: bigint;
  /** What the kernel let it inherit from; the scope itself, or left out, where nothing. */
  readonly containerScope?: bigint;
  /** From the hierarchy's root (latin1). */
  readonly path: string;
  readonly isPathTruncated?: boolean;
  readonly version: CgroupVersion;
  /** Of a namespace: whose it is; null: no container's. Left out, the path tells. */
  readonly container?: ContainerPath | null;
  /** Of a namespace: the id of the container's group; null: not known. */
  readonly cgroupId?: bigint | null;
}

/** Returns the id of the group: a scope of control groups holds it. */
export function cgroupIdOf({ scope, cgroupId }: FoundScope): bigint | null {
  return cgroupId === undefined ? idOfScope(scope) : cgroupId;
}
