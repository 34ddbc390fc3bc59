// Which container a control group belongs to: by its path, and where the path alone proves nothing by a runtime's state.
import { bareContainerOf } from './bare-containers.ts';
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';
import type { FindMetadata } from './container-judge.ts';
import { hasContainerdTask } from './containerd-tasks.ts';
import type { FoundScope } from './found-scope.ts';

export interface GroupProofs {
  /** Proves a group that only looks like containerd's; by default containerd's state folder does. */
  readonly confirmGuess?: (namespace: string, id: string) => boolean;
  /** Finds a bare runtime's container by its state folders. */
  readonly bareContainerOf?: (path: string) => ContainerPath | null;
  readonly findMetadata?: FindMetadata | undefined;
}

/** Returns the container that the group's own path names, unless it is a guess without proof. */
export function containerOfGroup(found: FoundScope, proofs: GroupProofs): ContainerPath | null {
  if (found.container !== undefined) return found.container;
  const path = containerOfPath(found.path);
  if (path === null) {
    // Only a runtime that can be asked can prove it.
    if (proofs.findMetadata === undefined || found.isPathTruncated === true) return null;
    return (proofs.bareContainerOf ?? bareContainerOf)(found.path);
  }
  if (!path.isGuess) return path;
  const namespace = path.groupPath.split('/').at(-2) ?? '';
  const isProven = (proofs.confirmGuess ?? hasContainerdTask)(namespace, path.containerId);
  return isProven && found.isPathTruncated !== true ? path : null;
}
