// A dockerd of the test's own: data, state and socket lie in one temporary folder, and `stop()` removes them with
// the containers.
import { execFile } from 'node:child_process';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findCommand, makeImageArchive, whyNoPrograms } from './busybox-image.ts';
import { wrapperFor, type GroupsOfHost } from './oci-runtime.ts';
import { startDaemon, type Daemon } from './owned-daemon.ts';
import { pairArguments } from './runtime-commands.ts';
import { removeEmptyGroups, removeFolder } from './runtime-remains.ts';

const run = promisify(execFile);

export const DOCKER_IMAGE = 'fdspan.test/fdspan-busybox:1';

/** Reason: a command takes some 0.3 s. */
const COMMAND_TIMEOUT_MS = 30_000;

export interface DockerContainerOptions {
  readonly name: string;
  /** Run by busybox's `sh -c` as the container's first process. */
  readonly script: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** More arguments of `docker create`. */
  readonly extra?: readonly string[];
}

export interface DockerDaemon {
  readonly socketPath: string;
  /** Runs the docker client against this daemon; returns what it prints, trimmed. */
  docker(...args: readonly string[]): Promise<string>;
  /** Makes a container without starting it; returns its id. */
  create(options: DockerContainerOptions): Promise<string>;
  /** Starts a container; returns its first process. */
  start(id: string): Promise<number>;
  /** SIGSTOP: the daemon hangs until SIGCONT. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends the daemon and starts it again, on the same data. */
  restart(): Promise<void>;
  /** Removes every container, ends the daemon, and removes all that it made; may be called twice. */
  stop(): Promise<void>;
}

/** Returns why dockerd can't be started here, or null when it can. */
export function whyNoDocker(): string | null {
  return whyNoPrograms('dockerd', 'docker');
}

/** Starts a dockerd with the image {@link DOCKER_IMAGE}; `stop()` is the caller's duty. */
export async function startDocker(groups: GroupsOfHost = 'machine'): Promise<DockerDaemon> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-docker-'));
  const socketPath = join(folder, 'docker.sock');
  const docker = async (...args: readonly string[]): Promise<string> => {
    const argv = ['-H', `unix://${socketPath}`, ...args];
    const options = { timeout: COMMAND_TIMEOUT_MS, env: { ...process.env, DOCKER_CONFIG: folder } };
    return (await run(findCommand('docker') ?? 'docker', argv, options)).stdout.trim();
  };
  let daemon: Daemon | null = null;
  const start = async (): Promise<void> =>
    void (daemon = await startDockerd(folder, socketPath, docker, groups));
  const remove = async (): Promise<void> => {
    if (daemon !== null) {
      const ids = (await docker('ps', '--all', '--quiet', '--no-trunc')).split('\n').filter(Boolean);
      if (ids.length > 0) await docker('rm', '--force', ...ids);
      await daemon.stop();
    }
    await removeFolder(folder);
    await removeEmptyGroups('/docker');
    // dockerd makes this one whatever it is told.
    await rmdir('/run/docker/plugins').catch(() => undefined);
    await rmdir('/run/docker').catch(() => undefined);
  };
  try {
    await start();
    await docker('import', await makeImageArchive(folder), DOCKER_IMAGE);
  } catch (error) {
    await remove();
    throw error;
  }
  let stopped: Promise<void> | null = null;
  return {
    socketPath,
    docker,
    create: (options) => docker('create', ...createArguments(options)),
    start: async (id) => {
      await docker('start', id);
      return Number(await docker('inspect', '--format', '{{.State.Pid}}', id));
    },
    signal: (signal) => daemon?.signal(signal),
    restart: async () => {
      await daemon?.stop();
      await start();
    },
    stop: () => (stopped ??= remove()),
  };
}

/** No network of its own: neither bridges nor packet filters of the machine are touched. */
async function startDockerd(
  folder: string,
  socketPath: string,
  docker: DockerDaemon['docker'],
  groups: GroupsOfHost,
): Promise<Daemon> {
  const pidPath = join(folder, 'dockerd.pid');
  const argv = [...wrapperFor(null, groups), findCommand('dockerd') ?? 'dockerd'];
  argv.push('--host', `unix://${socketPath}`);
  argv.push('--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--pidfile', pidPath);
  argv.push('--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false');
  argv.push('--storage-driver=overlay2');
  return startDaemon({
    argv,
    logPath: join(folder, 'dockerd.log'),
    isReady: () =>
      docker('version').then(
        () => true,
        () => false,
      ),
  });
}

function createArguments(options: DockerContainerOptions): string[] {
  // Shells as first process ignore SIGTERM: the daemon's end would wait 10 s for each.
  const args = ['--name', options.name, '--network', 'none', '--stop-timeout', '0', ...(options.extra ?? [])];
  args.push(...pairArguments('--env', options.env), ...pairArguments('--label', options.labels));
  args.push(DOCKER_IMAGE, '/bin/sh', '-c', options.script);
  return args;
}
