// Starts real containers with podman over runc or crun, each in a store of its own that `stop()`
// removes again, so that the host's own podman, its locks and its images are never touched.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findBusybox, findCommand, makeRootfs } from './rootfs.ts';

const run = promisify(execFile);

export type OciRuntime = 'runc' | 'crun';

export interface ContainerOptions {
  readonly runtime: OciRuntime;
  readonly name: string;
  /** Run by busybox's `sh -c` as the container's first process. */
  readonly script: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** `uid[:gid]`; root when absent. */
  readonly user?: string;
  /** Host paths bound into the container, as podman's `--volume` takes them: `source:target[:ro]`. */
  readonly volumes?: readonly string[];
}

export interface RunningContainer {
  readonly id: string;
  readonly name: string;
  readonly runtime: OciRuntime;
  /** The first process, as the host numbers it. */
  readonly pid: number;
  /** The group in the v2 hierarchy, as /proc/PID/cgroup tells it. */
  readonly cgroupPath: string;
  /** The whole text of /proc/PID/cgroup. */
  readonly cgroupText: string;
  /** Podman's `--root` and `--runroot`. */
  readonly storage: { readonly graphRoot: string; readonly runRoot: string };
  /** What the container printed so far, standard output and standard error together. */
  logs(): Promise<string>;
  /** Resolves with the exit code when the first process has ended. */
  wait(): Promise<number>;
  /** Ends the container and removes all that starting it made; may be called twice. */
  stop(): Promise<void>;
}

const UNIFIED = '/sys/fs/cgroup/unified';

/** The image's name; `localhost/` is where podman looks for images that no registry gave. */
export const IMAGE_NAME = 'localhost/fdspan-busybox:1';

/** Reason: an image import or a start takes 1 s; 30 of them mean that podman hangs. */
const PODMAN_TIMEOUT_MS = 30_000;

/** Reason: podman's clean-up takes half a second; 10 s mean that something stays. */
const REMOVE_ATTEMPTS = 100;
const REMOVE_PAUSE_MS = 100;

/** Reason: logs of a test's container are a few KiB. */
const OUTPUT_BYTES_MAX = 16 << 20;

/** Returns why containers of this runtime can't be started here, or null when they can. */
export function whyNoContainers(runtime: OciRuntime): string | null {
  if (process.getuid?.() !== 0) return 'starting containers needs root';
  for (const command of ['podman', runtime]) {
    if (!findCommand(command)) return `${command} isn't installed (npm run setup)`;
  }
  return findBusybox() === null ? "busybox-static isn't installed (npm run setup)" : null;
}

/** Starts a container and resolves once its first process was started; `stop()` is the caller's duty. */
export async function startContainer(options: ContainerOptions): Promise<RunningContainer> {
  const store = await mkdtemp(join(tmpdir(), 'fdspan-container-'));
  const podman = await createPodman(store, options.runtime);
  try {
    await importImage(store, podman);
    const log = join(store, 'container.log');
    const id = (await podman(['create', '--log-opt', `path=${log}`, ...createArguments(options)])).trim();
    // Initialised first: a script that ends at once would have no process to ask about.
    await podman(['init', id]);
    const pid = Number((await podman(['inspect', '--format', '{{.State.Pid}}', id])).trim());
    const cgroupText = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    await podman(['start', id]);
    return describeContainer(options, { store, podman, id, pid, cgroupText });
  } catch (error) {
    await removeStore(store, podman, options.name);
    throw new Error(
      `starting container ${options.name} with podman and ${options.runtime}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

type Podman = (args: readonly string[], timeoutMs?: number) => Promise<string>;

interface Started {
  readonly store: string;
  readonly podman: Podman;
  readonly id: string;
  readonly pid: number;
  readonly cgroupText: string;
}

function describeContainer(options: ContainerOptions, started: Started): RunningContainer {
  const { store, podman, id, pid, cgroupText } = started;
  let stopped: Promise<void> | null = null;
  return {
    id,
    name: options.name,
    runtime: options.runtime,
    pid,
    cgroupText,
    storage: { graphRoot: join(store, 'root'), runRoot: join(store, 'run') },
    cgroupPath: /^0::(.*)$/m.exec(cgroupText)?.[1] ?? '/',
    logs: () => readFile(join(store, 'container.log'), 'utf8'),
    // 0: as long as the container runs; the caller's own deadline holds.
    wait: async () => Number((await podman(['wait', id], 0)).trim()),
    stop: () => (stopped ??= removeStore(store, podman, id)),
  };
}

function createArguments(options: ContainerOptions): string[] {
  const args = ['--name', options.name, '--hostname', options.name, '--network', 'none'];
  // Hosts without the pids controller in v2 refuse podman's default limit.
  args.push('--pids-limit', '-1', '--log-driver', 'k8s-file');
  for (const [key, value] of Object.entries(options.env ?? {})) args.push('--env', `${key}=${value}`);
  for (const [key, value] of Object.entries(options.labels ?? {})) args.push('--label', `${key}=${value}`);
  for (const volume of options.volumes ?? []) args.push('--volume', volume);
  if (options.user !== undefined) args.push('--user', options.user);
  args.push(IMAGE_NAME, '/bin/sh', '-c', options.script);
  return args;
}

/** Builds the function that runs podman on its own store, in the surroundings that the runtime needs here. */
async function createPodman(store: string, runtime: OciRuntime): Promise<Podman> {
  const configPath = join(store, 'containers.conf');
  await writeFile(configPath, configText(store, runtime));
  const globals = ['--root', join(store, 'root'), '--runroot', join(store, 'run')];
  const env = { ...process.env, CONTAINERS_CONF: configPath };
  const wrapper = needsHiddenControllers(runtime) ? HIDE_CONTROLLERS : [];
  return async (args, timeoutMs = PODMAN_TIMEOUT_MS) => {
    const [command = '', ...rest] = [...wrapper, 'podman', ...globals, ...args];
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

/** Makes the image of a root filesystem with busybox. */
async function importImage(store: string, podman: Podman): Promise<void> {
  const rootfs = join(store, 'rootfs');
  await makeRootfs(rootfs);
  const archive = join(store, 'image.tar');
  await run('tar', [
    '--create',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '-f',
    archive,
    '-C',
    rootfs,
    '.',
  ]);
  await podman(['import', '--quiet', archive, IMAGE_NAME]);
}

async function removeStore(store: string, podman: Podman, container: string): Promise<void> {
  await podman(['rm', '--force', '--time', '0', '--ignore', container]).catch(() => undefined);
  await removeMounted(store);
  await removeEmptyParents();
}

/** Removes a runtime's folder. Its own clean-up (of podman's conmon) may still write and mount there. */
export async function removeMounted(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await unmountBelow(folder);
      return await rm(folder, { recursive: true, force: true });
    } catch (error) {
      if (attempt === REMOVE_ATTEMPTS) throw error;
      await delay(REMOVE_PAUSE_MS);
    }
  }
}

/** Runtimes may leave their storage mounted; removing a mounted tree would remove what is mounted there. */
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
  const hierarchies = await readdir('/sys/fs/cgroup');
  const folders = ['/sys/fs/cgroup', ...hierarchies.map((name) => join('/sys/fs/cgroup', name))];
  for (const folder of folders) {
    await rmdir(join(folder, 'libpod_parent/conmon')).catch(() => undefined);
    await rmdir(join(folder, 'libpod_parent')).catch(() => undefined);
  }
}

function messageOf(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return stderr !== '' ? stderr : String(error);
}
