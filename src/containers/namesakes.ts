// Containers of one id in different places. A container may give a group below its own the id of any other, and a runtime
// that is asked for the id tells of the container that it made: what it tells goes to one of them only.
import type { Container } from './container-table.ts';
import { userOfGroup } from './runtimes/user-slice.ts';

/**
 * Whether what runtimes tell of this container's id means another one that is known: the one in fewer containers, and of
 * equals the one that was known first, since an id can be copied only once it is there. What runs in a user's groups only
 * that user's runtimes tell of: it takes nothing from others, and others take nothing from it.
 *
 * @param known all containers, in the order in which they became known
 */
export function isNamesake(container: Container, known: Iterable<Container>): boolean {
  if (container.path.parentId === null || isUsers(container)) return false;
  let isKnownEarlier = true;
  for (const other of known) {
    if (other === container) isKnownEarlier = false;
    else if (isOriginal(other, container, isKnownEarlier)) return true;
  }
  return false;
}

/** Takes from the namesakes of a container that has just become known what was told of its id; returns them. */
export function stripNamesakes(original: Container, known: Iterable<Container>): Container[] {
  const stripped: Container[] = [];
  for (const other of known) {
    if (other.metadata === null || isUsers(other) || !isOriginal(original, other, false)) continue;
    other.metadata = null;
    stripped.push(other);
  }
  return stripped;
}

function isOriginal(original: Container, container: Container, isKnownEarlier: boolean): boolean {
  if (original === container || original.path.containerId !== container.path.containerId) return false;
  if (isUsers(original)) return false;
  const difference = depthOf(original) - depthOf(container);
  return difference === 0 ? isKnownEarlier && depthOf(container) > 0 : difference < 0;
}

/** How many containers are around it; a group below the container's own may repeat its id. */
function depthOf({ path }: Container): number {
  return path.parentId === null ? 0 : 1 + (path.outerIds?.length ?? 0);
}

function isUsers({ path }: Container): boolean {
  return userOfGroup(path.groupPath) !== null;
}
