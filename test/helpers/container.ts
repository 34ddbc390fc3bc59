// Starts real containers with podman over runc or crun, each in a store of its own that `stop()`
// removes again, so that the host's own podman, its locks and its images are never touched.
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyNoPrograms } from './busybox-image.ts';
import type { OciRuntime } from './oci-runtime.ts';
import { createPodman, importImage, IMAGE_NAME, removeStore, type Podman } from './podman-store.ts';
import { pairArguments } from './runtime-commands.ts';

export type { OciRuntime } from './oci-runtime.ts';
export { IMAGE_NAME } from './podman-store.ts';

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

/** Returns why containers of this runtime can't be started here, or null when they can. */
export function whyNoContainers(runtime: OciRuntime): string | null {
  return whyNoPrograms('podman', runtime);
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
  args.push(...pairArguments('--env', options.env), ...pairArguments('--label', options.labels));
  for (const volume of options.volumes ?? []) args.push('--volume', volume);
  if (options.user !== undefined) args.push('--user', options.user);
  args.push(IMAGE_NAME, '/bin/sh', '-c', options.script);
  return args;
}

function messageOf(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return stderr !== '' ? stderr : String(error);
}
