// What the directory of runtimes tells, to the registry and to the log.
import type { RuntimeDirectory } from './containers/runtime-directory.ts';
import type { ContainerMetadata } from './containers/runtimes/runtime-source.ts';
import type { Logger } from './telemetry/log.ts';

type DirectoryListener = ConstructorParameters<typeof RuntimeDirectory>[0]['listener'];

/** @param changed is told what an event of a runtime says of a container. */
export function directoryListener(
  changed: (metadata: ContainerMetadata) => void,
  log: Logger,
): DirectoryListener {
  return {
    changed,
    state: (source, isAnswering, reason) =>
      isAnswering
        ? log.info('a container runtime answers', { runtime: source })
        : log.warn("a container runtime doesn't answer", { runtime: source, reason }),
    usersLeftOut: (users) => log.warn('more users than fdspan looks for runtimes of', { left_out: users }),
  };
}
