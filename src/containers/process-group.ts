// The control group of a process, and the container that it names, from /proc. A process may be gone, and its number
// may be another's: its start time tells.
import { lstat, readFile } from 'node:fs/promises';
import type { CgroupHierarchy } from './cgroup-mounts.ts';
import type { ContainerPath } from './cgroup-path.ts';
import { parseProcCgroup, type ProcCgroup } from './proc-cgroup.ts';
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

/** Returns where a process is; null when it is gone, or when another has its number. */
export async function readProcess(
  pid: number,
  startedBootNs: bigint,
  procFolder: string = '/proc',
): Promise<ProcessGroup | null> {
  try {
    const text = await readFile(`${procFolder}/${pid}/cgroup`, 'latin1');
    // After the groups: if it is the same process now, it was then.
    const stat = await readFile(`${procFolder}/${pid}/stat`, 'latin1');
    // The name in brackets may hold brackets and spaces itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[START_TIME_FIELD] !== String(startedBootNs / NS_PER_CLOCK_TICK)) return null;
    return processGroupOf(parseProcCgroup(text));
  } catch {
    return null;
  }
}

/** Returns what the text of /proc/PID/cgroup told. */
export function processGroupOf({ container, hierarchy }: ProcCgroup): ProcessGroup {
  return {
    container,
    path: hierarchy?.path ?? '',
    version: hierarchy?.kind === 'cgroup1' ? 'v1' : 'v2',
    controllers: hierarchy?.controllers ?? [],
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
