// Whether what a runtime tells without being asked is about a container: events come by id alone, and only hex ids are
// unique. Others are unique within one runtime, and in containerd within one of its namespaces.
import { isHexId } from './cgroup-segment.ts';
import { isGroupOfContainer } from './runtimes/container-group.ts';
import type { ContainerMetadata, ContainerQuestion } from './runtimes/runtime-source.ts';
import { userOfGroup } from './runtimes/user-slice.ts';

/**
 * Whether an event tells of the container that is asked about. Events come from root's runtimes alone: they say nothing
 * of what runs in a user's own groups.
 *
 * @param runtime as far as it is known: what the group's path says, or who told of the container before
 */
export function isToldOf(metadata: ContainerMetadata, question: ContainerQuestion, runtime: string): boolean {
  const { id, cgroupPath } = question;
  if (metadata.id !== id || userOfGroup(cgroupPath) !== null) return false;
  if (isHexId(id)) return true;
  if (runtime !== metadata.runtimeName) return false;
  return metadata.groupPath === undefined || isGroupOfContainer(metadata.groupPath, question);
}
