// A podman with a store of its own: images, containers and locks lie in one temporary folder, so that the host's own
// podman is never touched.
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeImageArchive } from './busybox-image.ts';
import { wrapperFor, type GroupsOfHost, type OciRuntime } from './oci-runtime.ts';
import { removeEmptyGroups, removeFolder } from './runtime-remains.ts';

const run = promisify(execFile);

/** The image's name; `localhost/` is where podman looks for images that no registry gave. */
export const IMAGE_NAME = 'localhost/fdspan-busybox:1';

/** Reason: an image import or a start takes 1 s; 30 of them mean that podman hangs. */
const PODMAN_TIMEOUT_MS = 30_000;

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
export async function podmanCommand(
  store: string,
  runtime: OciRuntime,
  groups: GroupsOfHost = 'machine',
): Promise<PodmanCommand> {
  const configPath = join(store, 'containers.conf');
  await writeFile(configPath, configText(store, runtime));
  const globals = ['--root', join(store, 'root'), '--runroot', join(store, 'run')];
  return {
    argv: [...wrapperFor(runtime, groups), 'podman', ...globals],
    env: { ...process.env, CONTAINERS_CONF: configPath },
  };
}

/** Builds the function that runs podman on its own store. */
export async function createPodman(
  store: string,
  runtime: OciRuntime,
  groups: GroupsOfHost = 'machine',
): Promise<Podman> {
  const { argv, env } = await podmanCommand(store, runtime, groups);
  return async (args, timeoutMs = PODMAN_TIMEOUT_MS) => {
    const [command = '', ...rest] = [...argv, ...args];
    const { stdout } = await run(command, rest, { env, timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX });
    return stdout;
  };
}

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
  // Podman leaves the groups above its containers and of its monitor.
  await removeEmptyGroups('/libpod_parent/conmon');
}
