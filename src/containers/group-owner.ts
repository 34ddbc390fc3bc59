// Whose a control group is, by its path and by what proves that: where any name could be a container's, the runtime's
// state folder does.
import { bareContainerOf } from './bare-containers.ts';
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';
import { hasContainerdTask } from './containerd-tasks.ts';
import type { FoundScope } from './found-scope.ts';

export interface GroupProofs {
  /** Proves a group that only looks like containerd's; by default containerd's state folder does. */
  readonly confirmGuess?: (namespace: string, id: string) => boolean;
  /** Finds a bare runtime's container by its state folders. */
  readonly bareContainerOf?: (path: string) => ContainerPath | null;
}

/**
 * Returns the container that the group's own path names, unless it is a guess without proof. Containers of bare runtimes
 * only where runtimes can be asked: what they say is the proof.
 */
export function ownerOfGroup(found: FoundScope, proofs: GroupProofs, canAsk: boolean): ContainerPath | null {
  const isWhole = found.isPathTruncated !== true;
  const path = containerOfPath(found.path);
  if (path === null)
    return canAsk && isWhole ? (proofs.bareContainerOf ?? bareContainerOf)(found.path) : null;
  if (!path.isGuess) return path;
  const namespace = path.groupPath.split('/').at(-2) ?? '';
  return isWhole && (proofs.confirmGuess ?? hasContainerdTask)(namespace, path.containerId) ? path : null;
}
