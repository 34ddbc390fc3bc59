// Which number tells containers apart on this host: the group's v2 id, and where containers have no
// v2 group of their own, the id of their group in one v1 hierarchy; or the number of a namespace.
import type { CgroupHierarchy, CgroupLayout } from './cgroup-mounts.ts';

export type ScopeBy = 'auto' | 'cgroup2' | 'cgroup1' | 'mntns' | 'pidns';

export interface ScopeWish {
  readonly by: ScopeBy;
  /** `auto`, a v1 controller, or `name=…`. */
  readonly cgroup1Hierarchy: string;
}

export interface ScopeChoice {
  readonly by: 'cgroup' | 'mntns' | 'pidns';
  readonly byCgroup2: boolean;
  /** Controller of the v1 hierarchy that is asked; null: none. */
  readonly cgroup1Controller: string | null;
  /** The trees to watch; where namespaces are the scopes, they only name the containers. */
  readonly hierarchies: readonly CgroupHierarchy[];
  /** For people: what was taken, and why. */
  readonly explanation: string;
}

/** Every runtime makes groups here; `pids` first, as no one shares or disables it. */
const CONTROLLERS = ['pids', 'memory', 'cpu', 'cpuacct', 'blkio', 'devices', 'freezer', 'cpuset'];

const NAMESPACE_NAMES = { mntns: 'mount namespace', pidns: 'pid namespace' } as const;

/** Thrown where no cgroup hierarchy of the wanted kind is mounted. */
export class NoScopeError extends Error {
  readonly code = 'KERNEL_UNFIT';
}

/** Chooses by the configuration and by what is mounted. Throws {@link NoScopeError}. */
export function chooseScope(
  { by, cgroup1Hierarchy }: ScopeWish,
  hierarchies: readonly CgroupHierarchy[],
  layout: CgroupLayout | null,
): ScopeChoice {
  const v2 = by === 'cgroup1' ? undefined : hierarchies.find(({ version }) => version === 'v2');
  const controller = by === 'cgroup2' ? undefined : chooseController(cgroup1Hierarchy, hierarchies);
  const v1 = hierarchies.find(
    ({ version, controllers }) =>
      version === 'v1' && controller !== undefined && controllers.includes(controller),
  );
  const isMounted = v2 !== undefined || v1 !== undefined;
  if (!isMounted && by !== 'auto' && !isNamespace(by)) {
    throw new NoScopeError(
      `no cgroup hierarchy for scope.by ${by} is mounted: mount cgroup2 at /sys/fs/cgroup, or set scope.by to auto`,
    );
  }
  const taken = isNamespace(by) ? by : isMounted ? 'cgroup' : 'mntns';
  const choice = { byCgroup2: v2 !== undefined, cgroup1Controller: v1 === undefined ? null : controller! };
  return {
    by: taken,
    ...choice,
    hierarchies: [v2, v1].filter((hierarchy) => hierarchy !== undefined),
    explanation: explain(by, taken, layout, choice),
  };
}

function isNamespace(by: ScopeBy): by is 'mntns' | 'pidns' {
  return by === 'mntns' || by === 'pidns';
}

/** Returns a mounted v1 controller; undefined where `auto` finds none. Throws where the wanted one isn't to be had. */
function chooseController(wanted: string, hierarchies: readonly CgroupHierarchy[]): string | undefined {
  const isMounted = (name: string): boolean =>
    hierarchies.some(({ version, controllers }) => version === 'v1' && controllers.includes(name));
  if (wanted === 'auto') return CONTROLLERS.find(isMounted);
  if (isMounted(wanted)) return wanted;
  const mounted = hierarchies
    .flatMap(({ controllers }) => controllers)
    .filter((name) => !name.startsWith('name='));
  const list = mounted.length === 0 ? 'none is' : `mounted are ${mounted.join(', ')}`;
  throw new NoScopeError(
    `scope.cgroup1_hierarchy ${wanted} isn't mounted as a v1 hierarchy (${list}): take one of them, or auto`,
  );
}

function explain(
  by: ScopeBy,
  taken: ScopeChoice['by'],
  layout: CgroupLayout | null,
  { byCgroup2, cgroup1Controller }: Pick<ScopeChoice, 'byCgroup2' | 'cgroup1Controller'>,
): string {
  const noneIsUsable = `no ${layout === null ? 'cgroup hierarchy' : 'hierarchy with a controller'} is mounted`;
  const onHost = taken === 'cgroup' ? `the host is ${layout}` : noneIsUsable;
  const start = `${by === 'auto' ? onHost : `scope.by is ${by}`}: `;
  if (taken !== 'cgroup') return `${start}the number of the ${NAMESPACE_NAMES[taken]}`;
  if (cgroup1Controller === null) return `${start}the v2 group's id`;
  if (!byCgroup2) return `${start}the id of the group in the v1 hierarchy ${cgroup1Controller}`;
  return `${start}the v2 group's id; where that is no container's, the id in the v1 hierarchy ${cgroup1Controller}`;
}
