// The control group of a process, and the container that it names. A process may be gone, and its number may be
// another's: its start time tells.
import { lstat, readFile } from 'node:fs/promises';
import type { CgroupHierarchy } from './cgroup-mounts.ts';
import type { ContainerPath } from './cgroup-path.ts';
import { containerOfGroup, type GroupProofs } from './container-of-group.ts';
import { parseProcCgroup, readMemberships, type CgroupMembership } from './proc-cgroup.ts';
import type { CgroupVersion } from './scope.ts';

export interface ProcessGroup {
  readonly container: ContainerPath | null;
  /** Of the hierarchy that names the container, else of v2 (latin1). */
  readonly path: string;
  readonly version: CgroupVersion;
  /** v1 controllers; empty for v2. */
  readonly controllers: readonly string[];
}

/** USER_HZ is 100 on every architecture that fdspan knows. */
const NS_PER_CLOCK_TICK = 10_000_000n;
/** Place of `starttime` among the fields after the process's name (proc_pid_stat(5)). */
const START_TIME_FIELD = 19;

/** Returns the text of a process's groups; null when it is gone, or when another has its number. */
export async function readGroups(
  pid: number,
  startedBootNs: bigint,
  procFolder: string,
): Promise<string | null> {
  try {
    const text = await readFile(`${procFolder}/${pid}/cgroup`, 'latin1');
    // After the groups: if it is the same process now, it was then.
    const stat = await readFile(`${procFolder}/${pid}/stat`, 'latin1');
    // The name in brackets may hold brackets and spaces itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[START_TIME_FIELD] === String(startedBootNs / NS_PER_CLOCK_TICK) ? text : null;
  } catch {
    return null;
  }
}

/** Finds the container of a process from the text of its /proc/PID/cgroup (latin1). */
export function groupOfText(text: string, proofs: GroupProofs): ProcessGroup {
  const { container, hierarchy } = parseProcCgroup(text);
  if (container !== null && hierarchy !== null) {
    const proven = containerOfGroup(foundBy(hierarchy), proofs);
    if (proven !== null) return groupOf(hierarchy, proven);
  }
  // A bare runtime's container may have a group in some hierarchies only.
  const paths = new Set<string>();
  for (const membership of readMemberships(text)) {
    if (paths.has(membership.path)) continue;
    paths.add(membership.path);
    const bare = containerOfGroup(foundBy(membership), proofs);
    if (bare !== null) return groupOf(membership, bare);
  }
  return groupOf(hierarchy, null);
}

function foundBy(membership: CgroupMembership): Parameters<typeof containerOfGroup>[0] {
  return { scope: 0n, path: membership.path, version: versionOf(membership) };
}

function versionOf({ kind }: CgroupMembership): CgroupVersion {
  return kind === 'cgroup1' ? 'v1' : 'v2';
}

function groupOf(membership: CgroupMembership | null, container: ContainerPath | null): ProcessGroup {
  return {
    container,
    path: membership?.path ?? '',
    version: membership === null ? 'v2' : versionOf(membership),
    controllers: membership?.controllers ?? [],
  };
}

/** Returns the id of the container's own group, or of the process's; null where it can't be seen. */
export async function groupIdOf(
  { container, path, version, controllers }: ProcessGroup,
  hierarchies: readonly CgroupHierarchy[],
): Promise<bigint | null> {
  const hierarchy = hierarchies.find(
    (one) =>
      one.version === version && (version === 'v2' || one.controllers.some((it) => controllers.includes(it))),
  );
  if (hierarchy === undefined || hierarchy.root !== '/') return null;
  const directory = Buffer.from(`${hierarchy.mountPoint}${container?.groupPath ?? path}`, 'latin1');
  try {
    return (await lstat(directory, { bigint: true })).ino;
  } catch {
    return null;
  }
}
