// Walks a mounted cgroup hierarchy: every group with its id and path. Groups come and go during the
// walk; one that vanished is left out without an error.
import { lstat, readdir } from 'node:fs/promises';

export interface CgroupGroup {
  /** Inode number of the directory. In v2 it equals the kernel's cgroup id on 64-bit machines. */
  readonly id: bigint;
  /** From the hierarchy's root, one character per byte (latin1); the root is `/`. */
  readonly path: string;
}

export interface CgroupScan {
  readonly groups: readonly CgroupGroup[];
  /** Groups that were seen but not listed, because `groupsMax` was reached. */
  readonly leftOut: number;
}

/** Reason: sixteen groups for each of 4,096 containers; the walk stays under some seconds and 20 MB. */
export const GROUPS_MAX = 65_536;

/** The kernel's own id of a file may say 0 in no hierarchy; such a directory isn't a group. */
const NO_ID = 0n;

/** Groups go while they are looked at, and whoever may make groups can make a path too long to be named: left out. */
async function idOf(directory: Buffer): Promise<bigint> {
  try {
    return (await lstat(directory, { bigint: true })).ino;
  } catch {
    return NO_ID;
  }
}

async function childrenOf(directory: Buffer): Promise<string[]> {
  try {
    const entries = await readdir(directory, { encoding: 'latin1', withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Walks the tree, parents before their children. Each group costs two asynchronous calls. */
async function* walk(
  mountPoint: string,
  count: { seen: number },
  groupsMax: number,
): AsyncGenerator<CgroupGroup> {
  const paths: string[] = [''];
  count.seen = 1;
  for (let next = 0; next < paths.length; next++) {
    const path = paths[next];
    const directory = Buffer.from(`${mountPoint}${path}`, 'latin1');
    const id = await idOf(directory);
    if (id === NO_ID) continue;
    yield { id, path: path === '' ? '/' : path };
    const children = await childrenOf(directory);
    count.seen += children.length;
    for (const child of children) {
      if (paths.length >= groupsMax) break;
      paths.push(`${path}/${child}`);
    }
  }
}

/**
 * Lists the groups of a hierarchy, parents before their children, at most `groupsMax` of them.
 * Throws where the mount point itself can't be read.
 */
export async function scanTree(mountPoint: string, groupsMax: number = GROUPS_MAX): Promise<CgroupScan> {
  const count = { seen: 0 };
  const groups: CgroupGroup[] = [];
  // Taken for an empty tree, all groups would seem to have gone.
  await readdir(Buffer.from(mountPoint, 'latin1'));
  for await (const group of walk(mountPoint, count, groupsMax)) groups.push(group);
  return { groups, leftOut: Math.max(0, count.seen - groupsMax) };
}

/** Finds the path of the group with this id; null where there is none among `groupsMax` groups. */
export async function findGroup(
  mountPoint: string,
  id: bigint,
  groupsMax: number = GROUPS_MAX,
): Promise<string | null> {
  for await (const group of walk(mountPoint, { seen: 0 }, groupsMax)) {
    if (group.id === id) return group.path;
  }
  return null;
}
