// A podman with a store of its own: images, containers and locks lie in one temporary folder, so that the host's own
// podman is never touched.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeImageArchive } from './busybox-image.ts';

const run = promisify(execFile);

export type OciRuntime = 'runc' | 'crun';

/** The image's name; `localhost/` is where podman looks for images that no registry gave. */
export const IMAGE_NAME = 'localhost/fdspan-busybox:1';

const UNIFIED = '/sys/fs/cgroup/unified';

/** Reason: an image import or a start takes 1 s; 30 of them mean that podman hangs. */
const PODMAN_TIMEOUT_MS = 30_000;

/** Reason: podman's own clean-up behind a container's end takes some 0.2 s. */
const REMOVE_TIMEOUT_MS = 10_000;

/** Reason: logs of a test's container are a few KiB. */
const OUTPUT_BYTES_MAX = 16 << 20;

/** Runs podman on the store and returns its output; a timeout of 0 is none. */
export type Podman = (args: readonly string[], timeoutMs?: number) => Promise<string>;

/** How podman is started on a store, in the surroundings that the runtime needs here. */
export interface PodmanCommand {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Writes the store's configuration and returns the command; its arguments follow `argv`. */
export async function podmanCommand(store: string, runtime: OciRuntime): Promise<PodmanCommand> {
  const configPath = join(store, 'containers.conf');
  await writeFile(configPath, configText(store, runtime));
  const globals = ['--root', join(store, 'root'), '--runroot', join(store, 'run')];
  const wrapper = needsHiddenControllers(runtime) ? HIDE_CONTROLLERS : [];
  return {
    argv: [...wrapper, 'podman', ...globals],
    env: { ...process.env, CONTAINERS_CONF: configPath },
  };
}

/** Builds the function that runs podman on its own store. */
export async function createPodman(store: string, runtime: OciRuntime): Promise<Podman> {
  const { argv, env } = await podmanCommand(store, runtime);
  return async (args, timeoutMs = PODMAN_TIMEOUT_MS) => {
    const [command = '', ...rest] = [...argv, ...args];
    const { stdout } = await run(command, rest, { env, timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX });
    return stdout;
  };
}

export function needsHiddenControllers(runtime: OciRuntime): boolean {
  return runtime === 'crun' && existsSync(join(UNIFIED, 'cgroup.controllers'));
}

/** crun takes a hybrid host for an unsupported one as soon as it sees this file, even when all controllers are in v1. */
export const HIDE_CONTROLLERS = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `mount --bind /dev/null ${UNIFIED}/cgroup.controllers && exec "$@"`,
  'sh',
];

/**
 * The rlimits are lower than podman's own, which a machine without CAP_SYS_RESOURCE can't set. File locks:
 * podman's shared-memory ones are one set for the machine, and a new store would free those of the host's podman.
 */
function configText(store: string, runtime: OciRuntime): string {
  return `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "${runtime}"
tmp_dir = "${join(store, 'tmp')}"
`;
}

/** Imports busybox as {@link IMAGE_NAME}. */
export async function importImage(store: string, podman: Podman): Promise<void> {
  await podman(['import', '--quiet', await makeImageArchive(store), IMAGE_NAME]);
}

/** Removes the containers and then the store with all that podman left beside it. */
export async function removeStore(
  store: string,
  podman: Podman,
  ...containers: readonly string[]
): Promise<void> {
  await podman(['rm', '--force', '--time', '0', '--ignore', ...containers]).catch(() => undefined);
  await removeFolder(store);
  await removeEmptyParents();
}

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

/** Podman leaves the groups above its containers and of its monitor; only empty ones can be removed. */
async function removeEmptyParents(): Promise<void> {
  await removeEmptyGroups('libpod_parent/conmon');
  await removeEmptyGroups('libpod_parent');
}

/** Removes a group from every hierarchy where it is empty. */
export async function removeEmptyGroups(path: string): Promise<void> {
  const hierarchies = await readdir('/sys/fs/cgroup');
  for (const hierarchy of ['.', ...hierarchies]) {
    await rmdir(join('/sys/fs/cgroup', hierarchy, path)).catch(() => undefined);
  }
}
