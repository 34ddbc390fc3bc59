// Control groups that look like a container's, so that a kernel test traces its own workload and nothing
// else. Makes and removes only groups of its own, under `fdspan-test-…`.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface ContainerGroup {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** From the hierarchy's root, as /proc/PID/cgroup shows it. */
  readonly path: string;
  readonly folder: string;
  /** Writing a pid here moves the process into the group. */
  readonly procsFile: string;
  /** Makes a group inside this one, and removes it with this one. */
  nest(name: string): ContainerGroup;
  add(pid: number): void;
  /** Ends what is left inside and removes the group; may be called twice. */
  remove(): Promise<void>;
}

/** Reason: processes of a killed group are gone in milliseconds; 5 s mean that one hangs. */
const REMOVE_TIMEOUT_MS = 5_000;

/** Returns where a hierarchy is mounted: `v2`, or the v1 hierarchy of a controller; null when it isn't. */
export function findHierarchy(kind: 'v2' | 'pids' | 'memory'): string | null {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left, right] = line.split(' - ');
    if (right === undefined) continue;
    const [type, , superOptions = ''] = right.split(' ');
    const isMatch =
      kind === 'v2' ? type === 'cgroup2' : type === 'cgroup' && superOptions.split(',').includes(kind);
    if (isMatch) return left.split(' ')[4];
  }
  return null;
}

/**
 * Makes a group whose path is that of a docker container under systemd; or one that is no container's. `prefix` tells a
 * test's groups from those of others.
 */
export function makeContainerGroup(
  kind: 'v2' | 'pids' | 'memory' = 'v2',
  isContainer = true,
  prefix = 'fdspan-test-',
): ContainerGroup {
  const mount = findHierarchy(kind);
  if (mount === null) throw new Error(`no ${kind} hierarchy of control groups is mounted`);
  const id = randomBytes(32).toString('hex');
  const path = `/${prefix}${randomBytes(6).toString('hex')}/${isContainer ? `docker-${id}.scope` : 'plain'}`;
  mkdirSync(join(mount, path), { recursive: true });
  return createGroup(mount, path, id, true);
}

/** Makes a group as a user may make it by systemd's delegation, with the name of a docker container. */
export function makeUsersGroup(
  uid: number,
  id: string,
): Pick<ContainerGroup, 'path' | 'procsFile' | 'remove'> {
  const mount = findHierarchy('v2');
  if (mount === null) throw new Error('no v2 hierarchy of control groups is mounted');
  const path = `/user.slice/user-${uid}.slice/user@${uid}.service/docker-${id}.scope`;
  const first = mkdirSync(join(mount, path), { recursive: true });
  const group = createGroup(mount, path, id, false);
  return {
    ...group,
    async remove() {
      await group.remove();
      // Those above it that weren't there before.
      for (let folder = dirname(group.folder); first !== undefined && folder.startsWith(first);) {
        if (existsSync(folder)) rmdirSync(folder);
        folder = dirname(folder);
      }
    },
  };
}

function createGroup(mount: string, path: string, id: string, ownsParent: boolean): ContainerGroup {
  const folder = join(mount, path);
  const procsFile = join(folder, 'cgroup.procs');
  const nested: ContainerGroup[] = [];
  return {
    id,
    path,
    folder,
    procsFile,
    add: (pid) => writeFileSync(procsFile, String(pid)),
    nest(name) {
      mkdirSync(join(folder, name));
      const inner = createGroup(mount, `${path}/${name}`, id, false);
      nested.push(inner);
      return inner;
    },
    async remove() {
      for (const inner of nested.splice(0)) await inner.remove();
      if (!existsSync(folder)) return;
      await emptyGroup(procsFile);
      rmdirSync(folder);
      if (ownsParent) rmdirSync(dirname(folder));
    },
  };
}

async function emptyGroup(procsFile: string): Promise<void> {
  const deadline = Date.now() + REMOVE_TIMEOUT_MS;
  for (;;) {
    const pids = readFileSync(procsFile, 'utf8').split('\n').filter(Boolean).map(Number);
    if (pids.length === 0) return;
    if (Date.now() > deadline) throw new Error(`processes ${pids.join(', ')} don't leave ${procsFile}`);
    for (const pid of pids) killIfThere(pid);
    await delay(10);
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
