// A dockerd with folders and a socket of its own, and containers in it.
import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeMounted } from './container.ts';
import { groupOf, removeGroups, runCommand, startDaemon } from './daemon.ts';
import { makeRootfs } from './rootfs.ts';

export interface DockerContainer {
  readonly id: string;
  readonly pid: number;
  readonly cgroupPath: string;
}

export interface Docker {
  readonly socketPath: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  run(options: {
    readonly name: string;
    readonly script: string;
    readonly env?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
  }): Promise<DockerContainer>;
  /** Ends containers and daemon, and removes all that they made. */
  stop(): Promise<void>;
}

/** A registry with a port: the colon isn't the tag's. */
export const DOCKER_IMAGE = 'registry.example:5000/fdspan/busybox:1.2';

export async function startDocker(): Promise<Docker> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-docker-'));
  const socketPath = join(folder, 'docker.sock');
  const [dataRoot, execRoot] = [join(folder, 'data'), join(folder, 'exec')];
  const parent = `/fdspan-test-${randomBytes(6).toString('hex')}`;
  const docker = (...args: readonly string[]): Promise<string> =>
    runCommand('docker', ['-H', `unix://${socketPath}`, ...args]);
  const flags = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--storage-driver', 'overlay2'];
  const folders = ['--data-root', dataRoot, '--exec-root', execRoot, '--pidfile', join(folder, 'pid')];
  const daemon = await startDaemon('dockerd', [...folders, '-H', `unix://${socketPath}`, ...flags], {
    logPath: join(folder, 'log'),
    isReady: () => docker('version'),
  });
  const stop = async (): Promise<void> => {
    const ids = (await docker('ps', '-aq')).split('\n').filter(Boolean);
    if (ids.length > 0) await docker('rm', '-f', ...ids);
    await daemon.stop();
    await removeMounted(folder);
    await removeGroups(parent);
  };
  try {
    await makeRootfs(join(folder, 'rootfs'));
    await runCommand('tar', ['-cf', join(folder, 'image.tar'), '-C', join(folder, 'rootfs'), '.']);
    await docker('import', join(folder, 'image.tar'), DOCKER_IMAGE);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    socketPath,
    dataRoot,
    execRoot,
    stop,
    async run({ name, script, env = [], labels = {} }) {
      const args = ['--name', name, '--network', 'none', '--cgroup-parent', parent];
      // Lower than dockerd's own, which this machine may not allow.
      args.push('--ulimit', 'nofile=1024:4096');
      for (const entry of env) args.push('--env', entry);
      for (const [key, value] of Object.entries(labels)) args.push('--label', `${key}=${value}`);
      const id = (await docker('run', '--detach', ...args, DOCKER_IMAGE, '/bin/sh', '-c', script)).trim();
      const pid = Number((await docker('inspect', '--format', '{{.State.Pid}}', id)).trim());
      return { id, pid, cgroupPath: await groupOf(pid) };
    },
  };
}
