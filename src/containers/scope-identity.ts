// Which container a control group's path names, and what proves a path that a group of the host may have, too.
import { bareContainerOf } from './bare-containers.ts';
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';
import { hasContainerdTask } from './containerd-tasks.ts';
import type { FoundScope } from './found-scope.ts';

export interface IdentityOptions {
  /** Proves a group that only looks like containerd's; by default containerd's state folder does. */
  readonly confirmGuess?: (namespace: string, id: string) => boolean;
  /** Finds a bare runtime's container by its state folders. */
  readonly bareContainerOf?: (path: string) => ContainerPath | null;
  /** Whether the configuration names a containerd's socket: its state may be anywhere, so its answer is the proof, too. */
  readonly isContainerdNamed?: boolean;
}

/**
 * Returns the container that the group's own path names, null where it names none. One that is still a guess
 * (`isGuess`) needs the word of a runtime; `canAsk` says whether one can be asked.
 */
export function identify(found: FoundScope, options: IdentityOptions, canAsk: boolean): ContainerPath | null {
  const path = containerOfPath(found.path);
  if (path !== null && !path.isGuess) return path;
  // What is left of a cut path may look like anything.
  if (found.isPathTruncated === true) return null;
  if (path !== null) {
    const namespace = path.groupPath.split('/').at(-2) ?? '';
    const isProven = (options.confirmGuess ?? hasContainerdTask)(namespace, path.containerId);
    if (isProven) return { ...path, isGuess: false };
  }
  if (!canAsk) return null;
  const bare = (options.bareContainerOf ?? bareContainerOf)(found.path);
  return bare ?? (options.isContainerdNamed === true ? path : null);
}
