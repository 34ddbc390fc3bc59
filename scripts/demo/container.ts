// The demonstration's container: podman with a store and a socket of its own, so that the host's podman is never touched,
// and fdspan can still ask what the container is called.
import type { OciRuntime } from '../../test/helpers/container.ts';
import { startPodmanService } from '../../test/helpers/podman-service.ts';
import { groupOf } from '../../test/helpers/runtime-commands.ts';
import { WORKLOAD_SCRIPT } from './workload.ts';

export interface DemoContainer {
  readonly id: string;
  readonly name: string;
  readonly cgroupPath: string;
  /** Where podman's API answers. */
  readonly runtimeSocket: string;
  /** Ends the workload; podman's API goes on. */
  end(): Promise<void>;
  stop(): Promise<void>;
}

const NAME = 'fdspan-demo';

/** Starts the container of the workload; `stop()` is the caller's duty, and may be called twice. */
export async function startDemoContainer(runtime: OciRuntime): Promise<DemoContainer> {
  const service = await startPodmanService(runtime);
  try {
    const options = ['--hostname', NAME, '--user', '1000:1000', '--label', 'app=orders'];
    const id = await service.create(NAME, WORKLOAD_SCRIPT, ...options, '--log-driver', 'none');
    await service.podman(['start', id]);
    const pid = Number((await service.podman(['inspect', '--format', '{{.State.Pid}}', id])).trim());
    const cgroupPath = await groupOf(pid);
    return {
      id,
      name: NAME,
      cgroupPath,
      runtimeSocket: service.socketPath,
      end: async () => void (await service.podman(['stop', '--time', '0', id])),
      stop: () => service.stop(),
    };
  } catch (error) {
    await service.stop();
    throw error;
  }
}
