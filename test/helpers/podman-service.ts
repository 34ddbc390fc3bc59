// `podman system service` on a store of the test's own, with podman itself beside it to make containers.
import { mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GroupsOfHost, OciRuntime } from './oci-runtime.ts';
import { startDaemon } from './owned-daemon.ts';
import {
  createPodman,
  importImage,
  IMAGE_NAME,
  podmanCommand,
  removeStore,
  type Podman,
} from './podman-store.ts';

export interface PodmanService {
  readonly socketPath: string;
  /** Podman's `--root` and `--runroot`. */
  readonly storage: { readonly graphRoot: string; readonly runRoot: string };
  /** Runs podman on the same store. */
  readonly podman: Podman;
  /** Makes a container of busybox without starting it, with more arguments of `podman create`; returns its id. */
  create(name: string, script: string, ...args: readonly string[]): Promise<string>;
  /** Removes every container, ends the service, and removes all that it made; may be called twice. */
  stop(): Promise<void>;
}

/** Starts the service; `stop()` is the caller's duty. `whyNoContainers` of container.ts says whether it can. */
export async function startPodmanService(
  runtime: OciRuntime,
  groups: GroupsOfHost = 'machine',
): Promise<PodmanService> {
  const store = await mkdtemp(join(tmpdir(), 'fdspan-podman-'));
  const socketPath = join(store, 'podman.sock');
  const podman = await createPodman(store, runtime, groups);
  const { argv, env } = await podmanCommand(store, runtime, groups);
  try {
    await importImage(store, podman);
    const daemon = await startDaemon({
      argv: [...argv, 'system', 'service', '--time', '0', `unix://${socketPath}`],
      env,
      logPath: join(store, 'service.log'),
      isReady: () =>
        stat(socketPath).then(
          (file) => file.isSocket(),
          () => false,
        ),
    });
    let stopped: Promise<void> | null = null;
    return {
      socketPath,
      storage: { graphRoot: join(store, 'root'), runRoot: join(store, 'run') },
      podman,
      create: async (name, script, ...args) => {
        const options = ['--name', name, '--network', 'none', '--pids-limit', '-1', ...args];
        return (await podman(['create', ...options, IMAGE_NAME, '/bin/sh', '-c', script])).trim();
      },
      stop: () => (stopped ??= daemon.stop().then(() => removeStore(store, podman, '--all'))),
    };
  } catch (error) {
    await removeStore(store, podman, '--all');
    throw error;
  }
}
