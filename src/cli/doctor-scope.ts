// How control groups are laid out here, where the containers have theirs, and so which scope would be used.
import { readFile, stat } from 'node:fs/promises';
import { findHierarchies, layoutOf, type CgroupHierarchy } from '../containers/cgroup-mounts.ts';
import { containerOfPath, type ContainerPath } from '../containers/cgroup-path.ts';
import { CONTAINERD_STATE_FOLDER, hasContainerdTask } from '../containers/containerd-tasks.ts';
import { scanTree } from '../containers/cgroup-tree.ts';
import { textOfBytes } from '../containers/byte-text.ts';
import { chooseScope, type ScopeChoice, type ScopeWish } from '../containers/scope-choice.ts';
import { ok, problem, warning, type Check, type DoctorHost } from './doctor-check.ts';

interface Counted {
  readonly hierarchy: CgroupHierarchy;
  readonly containers: number;
}

/** A path that only looks like containerd's needs its state folder as proof, as in the registry. */
function isProven(host: DoctorHost, { isGuess, groupPath, containerId }: ContainerPath): boolean {
  if (!isGuess) return true;
  const namespace = groupPath.split('/').at(-2) ?? '';
  return hasContainerdTask(namespace, containerId, host.root + CONTAINERD_STATE_FOLDER);
}

/** A container's nested groups are counted once. */
async function countContainers(host: DoctorHost, hierarchy: CgroupHierarchy): Promise<Counted> {
  const ids = new Set<string>();
  try {
    const { groups } = await scanTree(host.root + hierarchy.mountPoint);
    for (const { path } of groups) {
      const container = containerOfPath(path);
      if (container !== null && isProven(host, container)) ids.add(container.containerId);
    }
  } catch {
    // A hierarchy that can't be read shows no containers.
  }
  return { hierarchy, containers: ids.size };
}

function hierarchyName({ version, controllers }: CgroupHierarchy): string {
  return version === 'v2' ? 'v2' : `v1 ${controllers.join(',')}`;
}

function describe({ hierarchy, containers }: Counted): string {
  const place = textOfBytes(hierarchy.mountPoint);
  return `${hierarchyName(hierarchy)} at ${place} (${containers} containers)`;
}

/** kernfs gives its root this number. */
const ROOT_INODE = 1;

/** Whether the mount shows less than the whole tree. In a control group namespace the whole one is mounted from `/..`, or higher. */
async function isPart(host: DoctorHost, { root, mountPoint }: CgroupHierarchy): Promise<boolean> {
  if (root === '/') return false;
  if (!/^(\/\.\.)+$/.test(root)) return true;
  return stat(Buffer.from(host.root + mountPoint, 'latin1')).then(
    ({ ino }) => ino !== ROOT_INODE,
    () => true,
  );
}

/** The choice is the collector's own; what is counted says whether it finds anything here. */
function scopeCheck(
  wish: ScopeWish,
  hierarchies: readonly CgroupHierarchy[],
  counted: readonly Counted[],
): Check {
  const name = 'scope';
  let choice: ScopeChoice;
  try {
    choice = chooseScope(wish, hierarchies, layoutOf(hierarchies));
  } catch (error) {
    return problem(
      name,
      'kernel',
      (error as Error).message,
      'Set scope.by to auto, or mount that hierarchy.',
    );
  }
  if (choice.by !== 'cgroup') return ok(name, choice.explanation);
  const most = Math.max(...counted.map(({ containers }) => containers));
  const watched = counted.filter(({ hierarchy }) => choice.hierarchies.includes(hierarchy));
  const found = Math.max(...watched.map(({ containers }) => containers));
  const detail = `${choice.explanation} (${found} of ${most} containers found by it)`;
  if (found >= most) return ok(name, detail);
  const cure =
    wish.by === 'auto'
      ? 'Let the container runtime use the named hierarchy too: containers outside of it are not seen.'
      : 'Set scope.by to auto: the chosen hierarchy does not show every container.';
  return warning(name, detail, cure);
}

/** Returns what the collector would choose here; null where it would refuse. */
export async function scopeChoiceOf(host: DoctorHost, wish: ScopeWish): Promise<ScopeChoice | null> {
  try {
    const hierarchies = findHierarchies(await readFile(`${host.root}/proc/self/mountinfo`, 'latin1'));
    return chooseScope(wish, hierarchies, layoutOf(hierarchies));
  } catch {
    return null;
  }
}

/** Tells layout, mount points, and the scope that would be used, with the reason. */
export async function checkScope(host: DoctorHost, wish: ScopeWish): Promise<Check[]> {
  let mountinfo: string;
  try {
    mountinfo = await readFile(`${host.root}/proc/self/mountinfo`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return [warning('cgroups', `/proc/self/mountinfo: ${code}`, 'Mount /proc.')];
  }
  const hierarchies = findHierarchies(mountinfo);
  const layout = layoutOf(hierarchies);
  if (layout === null) {
    const cure = 'Mount cgroup2 on /sys/fs/cgroup, or mount the host’s into this container.';
    return [warning('cgroups', 'no hierarchy is mounted', cure), scopeCheck(wish, hierarchies, [])];
  }
  const counted = await Promise.all(hierarchies.map((hierarchy) => countContainers(host, hierarchy)));
  const shown = counted.filter(({ hierarchy, containers }) => hierarchy.version === 'v2' || containers > 0);
  const hidden = counted.length - shown.length;
  const rest =
    hidden === 0 ? '' : `${shown.length === 0 ? '' : '; '}${hidden} v1 hierarchies without containers`;
  const checks = [
    ok('cgroups', `${layout}: ${shown.map(describe).join('; ')}${rest}`),
    scopeCheck(wish, hierarchies, counted),
  ];
  const partial: CgroupHierarchy[] = [];
  for (const hierarchy of hierarchies) if (await isPart(host, hierarchy)) partial.push(hierarchy);
  if (partial.length > 0) {
    const cure = 'Mount the host’s /sys/fs/cgroup, or run in the host’s cgroup namespace.';
    checks.push(
      warning('cgroup view', `only a part of the tree is mounted (${textOfBytes(partial[0].root)})`, cure),
    );
  }
  return checks;
}
