// Removes what runtimes leave behind their containers: folders with mounts in them, and empty control groups.
import { execFile } from 'node:child_process';
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Reason: a runtime's own clean-up behind a container's end takes some 0.2 s. */
const REMOVE_TIMEOUT_MS = 10_000;

/**
 * Removes a runtime's folder with its mounts. What the runtime started at a container's end may still mount there for a
 * moment.
 */
export async function removeFolder(folder: string): Promise<void> {
  const deadline = performance.now() + REMOVE_TIMEOUT_MS;
  for (;;) {
    await unmountBelow(folder);
    try {
      return await rm(folder, { recursive: true, force: true });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'EBUSY' && code !== 'ENOTEMPTY') || performance.now() > deadline) throw error;
    }
    await delay(50);
  }
}

/** Storage may be left mounted; removing a mounted tree would remove what is mounted there. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`)).reverse()) {
    await run('umount', [mount]);
  }
}

/** Removes a group that others may use too, and those above it, from every hierarchy: as far as they are empty. */
export async function removeEmptyGroups(path: string): Promise<void> {
  for (const mount of await hierarchies()) {
    for (let group = path; group !== '/'; group = dirname(group)) {
      await rmdir(join(mount, group)).catch(() => undefined);
    }
  }
}

/** Removes a group of the test's own and the empty ones below it, in every hierarchy. */
export async function removeGroups(path: string): Promise<void> {
  for (const mount of await hierarchies()) {
    const folder = join(mount, path);
    const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
    const below = entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const group of [folder, ...below].sort((a, b) => b.length - a.length)) {
      await rmdir(group).catch(() => undefined);
    }
  }
}

async function hierarchies(): Promise<string[]> {
  const names = await readdir('/sys/fs/cgroup');
  return ['/sys/fs/cgroup', ...names.map((name) => join('/sys/fs/cgroup', name))];
}
