// What the directory of runtimes tells, to the registry and to the log.
import type { RuntimeDirectory } from './containers/runtime-directory.ts';
import type { ContainerMetadata } from './containers/runtimes/runtime-source.ts';
import type { Logger } from './telemetry/log.ts';

type DirectoryListener = ConstructorParameters<typeof RuntimeDirectory>[0]['listener'];

/** What of it the registry is told. */
interface Heard {
  /** What an event of a runtime says of a container. */
  readonly changed: (metadata: ContainerMetadata) => void;
  readonly sourceIsBack: () => void;
}

export function directoryListener({ changed, sourceIsBack }: Heard, log: Logger): DirectoryListener {
  return {
    changed,
    state: (source, isAnswering, reason) => {
      if (!isAnswering) return log.warn("a container runtime doesn't answer", { runtime: source, reason });
      log.info('a container runtime answers', { runtime: source });
      sourceIsBack();
    },
    usersLeftOut: (users) => log.warn('more users than fdspan looks for runtimes of', { left_out: users }),
  };
}
