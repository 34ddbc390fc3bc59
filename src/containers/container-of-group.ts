// Which container a control group belongs to: by its path, and where the path alone proves nothing by a runtime's state.
import { bareContainerOf, isBeingMade } from './bare-containers.ts';
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';
import type { FindMetadata } from './container-judge.ts';
import type { Container } from './container-table.ts';
import { hasContainerdTask } from './containerd-tasks.ts';
import type { FoundScope } from './found-scope.ts';

/** Reason: with a `metadata_wait` of 1 s some 20 s; a runtime that was killed meanwhile may leave its folder for ever. */
const ASKS_MAX = 30;

export interface GroupProofs {
  /** Proves a group that only looks like containerd's; by default containerd's state folder does. */
  readonly confirmGuess?: (namespace: string, id: string) => boolean;
  /** Finds a bare runtime's container by its state folders. */
  readonly bareContainerOf?: (path: string) => ContainerPath | null;
  /** The same, by what is there now only. */
  readonly bareContainerOfNow?: (path: string) => ContainerPath | null;
  /** Whether a bare runtime has begun with the container, and not written its state yet. */
  readonly isBeingMade?: (container: ContainerPath) => boolean;
  readonly findMetadata?: FindMetadata | undefined;
  /** Whether the configuration names a containerd's socket: its state may be anywhere, so its answer is the proof, too. */
  readonly isContainerdNamed?: boolean;
}

/** Returns the container that the group's own path names, unless it is a guess without proof. */
export function containerOfGroup(found: FoundScope, proofs: GroupProofs): ContainerPath | null {
  if (found.container !== undefined) return found.container;
  const path = containerOfPath(found.path);
  if (path !== null && !path.isGuess) return path;
  if (found.isPathTruncated === true) return null;
  const namespace = path?.groupPath.split('/').at(-2) ?? '';
  if (path !== null && (proofs.confirmGuess ?? hasContainerdTask)(namespace, path.containerId))
    return { ...path, isGuess: false };
  // `/NAMESPACE/ID` is containerd's form, and may be the group that somebody chose for a container of runc. Only a
  // runtime that can be asked can prove it.
  if (proofs.findMetadata === undefined) return null;
  const bare = (proofs.bareContainerOf ?? bareContainerOf)(found.path);
  return bare ?? (proofs.isContainerdNamed === true ? path : null);
}

/** Whether nothing but its path tells that it is a container. One that is not asked about is denied by its path. */
export function isUnproven({
  metadata,
  path,
  isAsked,
}: Pick<Container, 'metadata' | 'path' | 'isAsked'>): boolean {
  return metadata === null && path.isGuess && isAsked;
}

/**
 * Whether its runtime has begun with the container and not written its state yet, so that an answer without it says
 * nothing: a busy machine takes seconds between the folder and the state in it.
 */
export function isEarly({ path, asks }: Pick<Container, 'path' | 'asks'>, proofs: GroupProofs): boolean {
  return path.isGuess && asks < ASKS_MAX && (proofs.isBeingMade ?? isBeingMade)(path);
}

/** Whether a bare runtime's state went with the group: a group of the host would have left the state of its namesake. */
export function isStateGone({ groupPath, runtime }: ContainerPath, proofs: GroupProofs): boolean {
  return runtime !== 'containerd' && (proofs.bareContainerOfNow ?? bareContainerOf)(groupPath) === null;
}
