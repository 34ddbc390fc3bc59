// Whose a control group is, by its path and by what proves that: where any name could be a container's, the runtime's
// state folder does.
import { bareContainerOf } from './bare-containers.ts';
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';
import { hasContainerdTask } from './containerd-tasks.ts';
import type { FoundScope } from './found-scope.ts';
import type { ContainerMetadata } from './runtimes/runtime-source.ts';

export interface GroupProofs {
  /** Proves a group that only looks like containerd's; by default containerd's state folder does. */
  readonly confirmGuess?: (namespace: string, id: string) => boolean;
  /** Finds a bare runtime's container by its state folders. */
  readonly bareContainerOf?: (path: string) => ContainerPath | null;
  /** The same, by what is there now only. */
  readonly bareContainerOfNow?: (path: string) => ContainerPath | null;
}

/**
 * Returns the container that the group's own path names, unless it is a guess without proof. Containers of bare runtimes
 * only where runtimes can be asked: what they say is the proof.
 */
export function ownerOfGroup(found: FoundScope, proofs: GroupProofs, canAsk: boolean): ContainerPath | null {
  const path = containerOfPath(found.path);
  if (path !== null && !path.isGuess) return path;
  if (found.isPathTruncated === true) return null;
  const namespace = path?.groupPath.split('/').at(-2) ?? '';
  if (path !== null && (proofs.confirmGuess ?? hasContainerdTask)(namespace, path.containerId)) return path;
  // `/NAMESPACE/ID` is containerd's form, and may be the group that somebody chose for a container of runc.
  return canAsk ? (proofs.bareContainerOf ?? bareContainerOf)(found.path) : null;
}

/** Whether only the name of a state folder tells that it is a container. What looks like containerd's was proven before. */
export function isUnproven({
  metadata,
  path,
}: {
  readonly metadata: ContainerMetadata | null;
  readonly path: ContainerPath;
}): boolean {
  return metadata === null && path.isGuess && path.runtime !== 'containerd';
}

/** Whether a bare runtime's state went with the group: a group of the host would have left the state of its namesake. */
export function isStateGone({ groupPath }: ContainerPath, proofs: GroupProofs): boolean {
  return (proofs.bareContainerOfNow ?? bareContainerOf)(groupPath) === null;
}
