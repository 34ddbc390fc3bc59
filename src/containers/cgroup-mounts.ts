// Which cgroup hierarchies this host has, and where they are mounted (proc_pid_mountinfo(5)).

export interface CgroupHierarchy {
  readonly version: 'v2' | 'v1';
  /** v1 controllers, or `name=…` of a hierarchy without any; empty for v2. */
  readonly controllers: readonly string[];
  /** One character per byte (latin1). */
  readonly mountPoint: string;
  /** The group that the mount shows as its root; `/` unless a part of the tree is mounted. */
  readonly root: string;
}

export type CgroupLayout = 'v1' | 'hybrid' | 'v2';

/** Options of a v1 super block that aren't controllers (kernel/cgroup/cgroup-v1.c). */
const V1_FLAGS = new Set([
  'rw',
  'ro',
  'xattr',
  'noprefix',
  'clone_children',
  'cpuset_v2_mode',
  'favordynmods',
]);

/** Undoes the kernel's octal escapes of space, tab, newline and backslash. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/**
 * Finds the hierarchies in the text of /proc/self/mountinfo (latin1), v2 first. Of several mounts of
 * one hierarchy the one that shows the most of it counts, then the first.
 */
export function findHierarchies(mountinfo: string): CgroupHierarchy[] {
  const byKey = new Map<string, CgroupHierarchy>();
  for (const line of mountinfo.split('\n')) {
    const dash = line.indexOf(' - ');
    if (dash === -1) continue;
    const before = line.slice(0, dash).split(' ');
    const [type, , options = ''] = line.slice(dash + ' - '.length).split(' ');
    if ((type !== 'cgroup' && type !== 'cgroup2') || before.length < 5) continue;
    const version = type === 'cgroup2' ? 'v2' : 'v1';
    const controllers = version === 'v2' ? [] : options.split(',').filter(isController);
    const root = unescapeMount(before[3]);
    const key = `${version}:${controllers.join(',')}`;
    const known = byKey.get(key);
    if (known !== undefined && known.root.length <= root.length) continue;
    byKey.set(key, { version, controllers, mountPoint: unescapeMount(before[4]), root });
  }
  const hierarchies = [...byKey.values()];
  return [...hierarchies.filter(({ version }) => version === 'v2'), ...hierarchies.filter(isV1)];
}

function isController(option: string): boolean {
  return option !== '' && !V1_FLAGS.has(option) && (!option.includes('=') || option.startsWith('name='));
}

function isV1({ version }: CgroupHierarchy): boolean {
  return version === 'v1';
}

/** Tells the host's layout; null where no cgroup hierarchy is mounted. */
export function layoutOf(hierarchies: readonly CgroupHierarchy[]): CgroupLayout | null {
  if (hierarchies.length === 0) return null;
  const hasV1 = hierarchies.some(isV1);
  if (!hasV1) return 'v2';
  return hierarchies.every(isV1) ? 'v1' : 'hybrid';
}
