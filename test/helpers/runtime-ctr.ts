// A containerd with folders and a socket of its own, and containers that `ctr` starts in it.
import { mkdtemp, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeMounted } from './container.ts';
import { groupOf, removeGroups, runCommand, runDetaching, startDaemon, waitFor } from './daemon.ts';
import { makeRootfs } from './rootfs.ts';

export interface CtrContainer {
  readonly id: string;
  readonly pid: number;
  readonly cgroupPath: string;
}

export interface Containerd {
  readonly socketPath: string;
  /** config.toml's `state`. */
  readonly stateFolder: string;
  run(options: {
    readonly namespace: string;
    readonly id: string;
    readonly script: string;
    readonly env?: readonly string[];
    readonly annotations?: Readonly<Record<string, string>>;
  }): Promise<CtrContainer>;
  stop(): Promise<void>;
}

export async function startContainerd(): Promise<Containerd> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-containerd-'));
  const socketPath = join(folder, 'grpc.sock');
  const stateFolder = join(folder, 'state');
  const rootfs = join(folder, 'rootfs');
  await makeRootfs(rootfs);
  const configPath = join(folder, 'config.toml');
  await writeFile(configPath, configText(folder));
  const ctr = (...args: readonly string[]): Promise<string> => runCommand('ctr', ['-a', socketPath, ...args]);
  const daemon = await startDaemon('containerd', ['-c', configPath], {
    logPath: join(folder, 'log'),
    isReady: () => ctr('version'),
  });
  const started: { readonly namespace: string; readonly id: string }[] = [];
  return {
    socketPath,
    stateFolder,
    async run({ namespace, id, script, env = [], annotations = {} }) {
      started.push({ namespace, id });
      const args = ['-a', socketPath, '-n', namespace, 'run', '--detach', '--rootfs'];
      for (const entry of env) args.push('--env', entry);
      for (const [key, value] of Object.entries(annotations)) args.push('--annotation', `${key}=${value}`);
      const command = ['/bin/sh', '-c', script];
      await runDetaching('ctr', [...args, rootfs, id, ...command], join(folder, 'ctr.log'));
      const list = await ctr('-n', namespace, 'task', 'ls');
      const pid = Number(
        list
          .split('\n')
          .find((line) => line.startsWith(`${id} `))
          ?.split(/\s+/)[1],
      );
      return { id, pid, cgroupPath: await groupOf(pid) };
    },
    async stop() {
      for (const { namespace, id } of started) await removeTask(ctr, namespace, id);
      await daemon.stop();
      await removeMounted(folder);
    },
  };
}

async function removeTask(
  ctr: (...args: readonly string[]) => Promise<string>,
  namespace: string,
  id: string,
): Promise<void> {
  await ctr('-n', namespace, 'task', 'kill', '--signal', 'SIGKILL', id).catch(() => undefined);
  await waitFor(async () => {
    await ctr('-n', namespace, 'task', 'rm', '--force', id).catch(() => undefined);
    await ctr('-n', namespace, 'container', 'rm', id);
  });
  await removeGroups(`/${namespace}`);
  // The shim of runc takes this folder whatever the daemon's own.
  await rmdir(`/run/containerd/runc/${namespace}`).catch(() => undefined);
}

function configText(folder: string): string {
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "${folder}/grpc.sock"
[ttrpc]
address = "${folder}/ttrpc.sock"
`;
}
