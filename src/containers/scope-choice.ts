// Which number tells containers apart on this host: the group's v2 id, and where containers have no
// v2 group of their own, the id of their group in one v1 hierarchy.
import type { CgroupHierarchy, CgroupLayout } from './cgroup-mounts.ts';

export interface ScopeChoice {
  readonly byCgroup2: boolean;
  /** Controller of the v1 hierarchy that is asked; null: none. */
  readonly cgroup1Controller: string | null;
  /** The trees to watch. */
  readonly hierarchies: readonly CgroupHierarchy[];
  /** For people: what was taken, and why. */
  readonly explanation: string;
}

/** Every runtime makes groups here; `pids` first, as no one shares or disables it. */
const CONTROLLERS = ['pids', 'memory', 'cpu', 'cpuacct', 'blkio', 'devices', 'freezer', 'cpuset'];

/** Thrown where no cgroup hierarchy of the wanted kind is mounted. */
export class NoScopeError extends Error {
  readonly code = 'KERNEL_UNFIT';
}

/** Chooses by `scope.by` and by what is mounted. Throws {@link NoScopeError}. */
export function chooseScope(
  by: 'auto' | 'cgroup2' | 'cgroup1',
  hierarchies: readonly CgroupHierarchy[],
  layout: CgroupLayout | null,
): ScopeChoice {
  const v2 = by === 'cgroup1' ? undefined : hierarchies.find(({ version }) => version === 'v2');
  const controller =
    by === 'cgroup2'
      ? undefined
      : CONTROLLERS.find((name) => hierarchies.some(({ controllers }) => controllers.includes(name)));
  const v1 = hierarchies.find(
    ({ version, controllers }) =>
      version === 'v1' && controller !== undefined && controllers.includes(controller),
  );
  if (v2 === undefined && v1 === undefined) {
    throw new NoScopeError(
      `no cgroup hierarchy for scope.by ${by} is mounted: mount cgroup2 at /sys/fs/cgroup, or set scope.by to auto`,
    );
  }
  return {
    byCgroup2: v2 !== undefined,
    cgroup1Controller: v1 === undefined ? null : controller!,
    hierarchies: [v2, v1].filter((hierarchy) => hierarchy !== undefined),
    explanation: explain(by, layout, v2 !== undefined, v1 === undefined ? null : controller!),
  };
}

function explain(by: string, layout: CgroupLayout | null, hasV2: boolean, controller: string | null): string {
  const start = `${by === 'auto' ? `the host is ${layout ?? 'without cgroups'}` : `scope.by is ${by}`}: `;
  if (controller === null) return `${start}the v2 group's id`;
  if (!hasV2) return `${start}the id of the group in the v1 hierarchy ${controller}`;
  return `${start}the v2 group's id; where that is no container's, the id in the v1 hierarchy ${controller}`;
}
