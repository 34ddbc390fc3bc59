// Starts a containerd of the test's own, with its Kubernetes part (CRI): root, state and sockets in a temporary
// folder, in a mount namespace of its own, so that no mount stays. `stop()` removes all that it made.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeImageArchive, whyNoPrograms } from './busybox-image.ts';
import { createPods, type Pods } from './containerd-pods.ts';
import { privateMounts, type OciRuntime } from './oci-runtime.ts';
import { startDaemon, type Daemon } from './owned-daemon.ts';
import { groupOf, pairArguments } from './runtime-commands.ts';
import { removeEmptyGroups } from './runtime-remains.ts';

const run = promisify(execFile);

export const CONTAINERD_IMAGE = 'localhost/fdspan-busybox:1';

/** Reason: a start takes 0.1 s; 30 of them at most when the machine is busy. */
const COMMAND_TIMEOUT_MS = 30_000;

/** Where shims and ctr put sockets and pipes whatever the configuration says. */
const RUN_FOLDER = '/run/containerd';

export interface ContainerdContainerOptions {
  readonly namespace: string;
  readonly id: string;
  /** runc by default; runsc has its own shim. */
  readonly ociRuntime?: OciRuntime;
  /** Run by busybox's `sh -c`. */
  readonly script: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Path of the control group; containerd's own choice is `/NAMESPACE/ID`. */
  readonly cgroup?: string;
}

export interface ContainerdContainer {
  readonly id: string;
  readonly namespace: string;
  readonly pid: number;
  /** The group in the v2 hierarchy, as /proc/PID/cgroup tells it. */
  readonly cgroupPath: string;
}

export interface Containerd {
  readonly socket: string;
  /** As `containerd --version` says it. */
  readonly version: string;
  readonly pods: Pods;
  /** Runs `ctr` in a namespace and returns what it printed. */
  ctr(namespace: string, ...args: string[]): Promise<string>;
  startContainer(options: ContainerdContainerOptions): Promise<ContainerdContainer>;
  /** Kills the daemon and waits for its end; containers live on. */
  kill(): Promise<void>;
  /** Starts the daemon again after `kill`. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Returns why no containerd can be started here, or null when it can. */
export function whyNoContainerd(ociRuntime: OciRuntime = 'runc'): string | null {
  return whyNoPrograms('containerd', 'ctr', ociRuntime);
}

/** Starts a containerd and imports the busybox image into the namespaces given and the one of Kubernetes. */
export async function startContainerd(...namespaces: string[]): Promise<Containerd> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-containerd-'));
  const daemon = new OwnContainerd(folder, namespaces);
  try {
    await daemon.prepare();
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

class OwnContainerd implements Containerd {
  readonly socket: string;
  readonly pods: Pods;
  version = '';
  readonly #folder: string;
  readonly #namespaces: readonly string[];
  readonly #cgroups = new Set<string>();
  readonly #hadRunFolder = existsSync(RUN_FOLDER);
  #daemon: Daemon | null = null;

  constructor(folder: string, namespaces: readonly string[]) {
    this.#folder = folder;
    this.#namespaces = namespaces;
    this.socket = join(folder, 'containerd.sock');
    this.pods = createPods(this.socket, CONTAINERD_IMAGE, this.#cgroups);
  }

  async prepare(): Promise<void> {
    this.version = (await run('containerd', ['--version'])).stdout.split(' ')[2] ?? '';
    await writeFile(join(this.#folder, 'config.toml'), configText(this.#folder));
    const archive = await makeArchive(this.#folder);
    await this.restart();
    for (const namespace of new Set([...this.#namespaces, 'k8s.io'])) {
      await this.ctr(namespace, 'images', 'import', archive);
    }
  }

  async restart(): Promise<void> {
    this.#daemon = await startDaemon({
      argv: [...privateMounts(), 'containerd', '--config', join(this.#folder, 'config.toml')],
      logPath: join(this.#folder, 'log'),
      isReady: () => this.#isServing(),
    });
  }

  async #isServing(): Promise<boolean> {
    if (!existsSync(this.socket)) return false;
    return run('ctr', ['--address', this.socket, 'version'], { timeout: 2_000 }).then(
      () => true,
      () => false,
    );
  }

  async ctr(namespace: string, ...args: string[]): Promise<string> {
    const all = ['--address', this.socket, '--namespace', namespace, ...args];
    return (await run('ctr', all, { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 64 << 20 })).stdout;
  }

  async startContainer(options: ContainerdContainerOptions): Promise<ContainerdContainer> {
    const { namespace, id, ociRuntime = 'runc', script, labels, env, cgroup } = options;
    const args = ['run', '--detach', '--null-io', '--runc-binary', ociRuntime];
    args.push('--runc-root', join(this.#folder, 'oci'));
    args.push(...pairArguments('--label', labels), ...pairArguments('--env', env));
    if (cgroup !== undefined) args.push('--cgroup', cgroup);
    this.#cgroups.add(cgroup ?? `/${namespace}/${id}`);
    await this.ctr(namespace, ...args, CONTAINERD_IMAGE, id, '/bin/sh', '-c', script);
    const listed = await this.ctr(namespace, 'tasks', 'ls');
    const pid = Number(
      listed
        .split('\n')
        .map((line) => line.split(/\s+/))
        .find(([task]) => task === id)?.[1],
    );
    return { namespace, id, pid, cgroupPath: await groupOf(pid) };
  }

  async kill(): Promise<void> {
    await this.#daemon?.stop('SIGKILL');
    this.#daemon = null;
  }

  async stop(): Promise<void> {
    // Only a daemon can end its containers.
    if (this.#daemon === null && existsSync(join(this.#folder, 'config.toml'))) await this.restart();
    await this.pods.removeAll().catch(() => undefined);
    await this.#removeContainers().catch(() => undefined);
    await this.kill();
    // Shims that lost their daemon and their task end by themselves, and unmount what they mounted.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    for (const group of this.#cgroups) await removeEmptyGroups(group);
    // Shims keep their sockets there until they have ended.
    for (let tries = 0; !this.#hadRunFolder && existsSync(RUN_FOLDER) && tries < 20; tries++) {
      await removeEmptyFolders(RUN_FOLDER);
      await delay(100);
    }
  }

  async #removeContainers(): Promise<void> {
    for (const namespace of (await this.ctr('default', 'namespaces', 'ls', '--quiet'))
      .split('\n')
      .filter(Boolean)) {
      for (const id of (await this.ctr(namespace, 'tasks', 'ls', '--quiet')).split('\n').filter(Boolean)) {
        await this.ctr(namespace, 'tasks', 'delete', '--force', id).catch(() => undefined);
      }
      for (const id of (await this.ctr(namespace, 'containers', 'ls', '--quiet'))
        .split('\n')
        .filter(Boolean)) {
        await this.ctr(namespace, 'containers', 'delete', id).catch(() => undefined);
      }
    }
  }
}

/** Snapshotters that need kernel modules are off, and nothing is taken from a registry: the pause image is ours. */
function configText(folder: string): string {
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "${folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "${folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${CONTAINERD_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${folder}/cni"
conf_dir = "${folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "crun"
`;
}

/** Makes an image archive whose default command waits, so that it can stand for Kubernetes' pause image. */
export async function makeArchive(folder: string, reference = CONTAINERD_IMAGE): Promise<string> {
  const layer = await makeImageArchive(folder);
  const digest = createHash('sha256')
    .update(await readFile(layer))
    .digest('hex');
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: ['/bin/sleep', '1000000'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'image.json', RepoTags: [reference], Layers: [basename(layer)] }];
  await writeFile(join(folder, 'image.json'), JSON.stringify(config));
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(folder, 'images.tar');
  const files = ['manifest.json', 'image.json', basename(layer)];
  await run('tar', ['--create', '-f', archive, '-C', folder, ...files]);
  return archive;
}

/** Removes the empty folders of a tree, the innermost first. */
async function removeEmptyFolders(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) await removeEmptyFolders(join(folder, entry.name));
  }
  await rmdir(folder).catch(() => undefined);
}
