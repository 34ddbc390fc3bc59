// Starts a containerd of the test's own, with its Kubernetes part (CRI): root, state and sockets in a temporary
// folder, in a mount namespace of its own, so that no mount stays. `stop()` removes all that it made.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  rmdir,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createPods, type Pods } from './containerd-pods.ts';

const run = promisify(execFile);

export const CONTAINERD_IMAGE = 'localhost/fdspan-busybox:1';

/** Reason: a start takes 0.1 s; 30 of them at most when the machine is busy. */
const COMMAND_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 20_000;

const UNIFIED_CONTROLLERS = '/sys/fs/cgroup/unified/cgroup.controllers';

export interface ContainerdContainerOptions {
  readonly namespace: string;
  readonly id: string;
  /** runc by default; runsc has its own shim. */
  readonly ociRuntime?: 'runc' | 'crun';
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
export function whyNoContainerd(ociRuntime: 'runc' | 'crun' = 'runc'): string | null {
  if (process.getuid?.() !== 0) return 'starting containerd needs root';
  const missing = ['containerd', 'ctr', 'busybox', ociRuntime].find(
    (command) => findCommand(command) === null,
  );
  return missing === undefined ? null : `${missing} isn't installed (npm run setup)`;
}

function findCommand(command: string): string | null {
  const folders = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/bin', '/sbin'];
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path)) ?? null;
}

/** Starts a containerd and imports the busybox image into the namespaces given and the one of Kubernetes. */
export async function startContainerd(...namespaces: string[]): Promise<Containerd> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-containerd-'));
  const daemon = new Daemon(folder, namespaces);
  try {
    await daemon.prepare();
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

class Daemon implements Containerd {
  readonly socket: string;
  readonly pods: Pods;
  version = '';
  readonly #folder: string;
  readonly #namespaces: readonly string[];
  readonly #cgroups = new Set<string>();
  #process: ChildProcess | null = null;

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
    const log = await open(join(this.#folder, 'log'), 'a');
    const command = `${hideControllers()}exec containerd --config "$1"`;
    const args = ['--mount', 'sh', '-c', command, 'sh', join(this.#folder, 'config.toml')];
    this.#process = spawn('unshare', args, { stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#isServing())) {
      if (performance.now() > deadline || this.#process.exitCode !== null) {
        throw new Error(
          `containerd doesn't serve: ${(await readFile(join(this.#folder, 'log'), 'utf8')).slice(-2000)}`,
        );
      }
      await delay(50);
    }
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
    const { namespace, id, ociRuntime = 'runc', script, labels = {}, env = {}, cgroup } = options;
    const args = ['run', '--detach', '--null-io', '--runc-binary', ociRuntime];
    args.push('--runc-root', join(this.#folder, 'oci'));
    for (const [key, value] of Object.entries(labels)) args.push('--label', `${key}=${value}`);
    for (const [key, value] of Object.entries(env)) args.push('--env', `${key}=${value}`);
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
    const cgroupText = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    return { namespace, id, pid, cgroupPath: /^0::(.*)$/m.exec(cgroupText)?.[1] ?? '/' };
  }

  async kill(): Promise<void> {
    const daemon = this.#process;
    this.#process = null;
    if (daemon === null || daemon.exitCode !== null) return;
    const ended = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    // Only a daemon can end its containers.
    if (this.#process === null && existsSync(join(this.#folder, 'config.toml'))) await this.restart();
    await this.pods.removeAll().catch(() => undefined);
    await this.#removeContainers().catch(() => undefined);
    await this.kill();
    // Shims that lost their daemon and their task end by themselves, and unmount what they mounted.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    for (const group of this.#cgroups) await removeEmptyGroups(group);
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

/** crun takes a hybrid host for an unsupported one as soon as it sees this file. */
function hideControllers(): string {
  return existsSync(UNIFIED_CONTROLLERS) ? `mount --bind /dev/null ${UNIFIED_CONTROLLERS} && ` : '';
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

/**
 * Makes an image archive: busybox with a link for each applet. Its default command waits, so that it can stand for
 * Kubernetes' pause image.
 */
export async function makeArchive(folder: string, reference = CONTAINERD_IMAGE): Promise<string> {
  const busybox = findCommand('busybox');
  if (busybox === null) throw new Error("busybox-static isn't installed: npm run setup");
  const rootfs = join(folder, 'rootfs');
  for (const name of ['bin', 'etc', 'tmp']) await mkdir(join(rootfs, name), { recursive: true });
  await copyFile(busybox, join(rootfs, 'bin/busybox'));
  const { stdout: applets } = await run(busybox, ['--list']);
  for (const applet of applets.split('\n').filter((line) => line !== '' && line !== 'busybox')) {
    await symlink('busybox', join(rootfs, 'bin', applet));
  }
  const layer = join(folder, 'layer.tar');
  await run('tar', ['--create', '--owner=0', '--group=0', '--numeric-owner', '-f', layer, '-C', rootfs, '.']);
  const digest = createHash('sha256')
    .update(await readFile(layer))
    .digest('hex');
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: ['/bin/sleep', '1000000'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'image.json', RepoTags: [reference], Layers: ['layer.tar'] }];
  await writeFile(join(folder, 'image.json'), JSON.stringify(config));
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(folder, 'image.tar');
  await run('tar', ['--create', '-f', archive, '-C', folder, 'manifest.json', 'image.json', 'layer.tar']);
  return archive;
}

/** Removes a container's group and those above it, in each hierarchy, as long as they are empty. */
async function removeEmptyGroups(group: string): Promise<void> {
  const hierarchies = await readdir('/sys/fs/cgroup');
  for (const hierarchy of ['', ...hierarchies]) {
    for (let path = group; path !== '/'; path = dirname(path)) {
      const wasEmpty = await rmdir(join('/sys/fs/cgroup', hierarchy, path)).then(
        () => true,
        (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT',
      );
      if (!wasEmpty) break;
    }
  }
}
