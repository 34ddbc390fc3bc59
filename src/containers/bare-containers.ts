// Containers of a bare OCI runtime: their groups may have any name, so only the runtime's own state tells one from a
// group of the host. A folder of runc or crun makes a candidate, and what that runtime says of it is the proof; runsc's
// file names the container twice, and is its own proof.
import type { ContainerPath } from './cgroup-path.ts';
import { isUnitName } from './cgroup-segment.ts';
import { isThere } from './is-there.ts';

export type BareRuntime = 'runc' | 'crun' | 'runsc';

interface StatePlace {
  readonly runtime: BareRuntime;
  readonly placeOf: (id: string) => string;
  /** Written into that place when the container is made, before anything of its image is executed. */
  readonly file?: string;
}

/** Where each keeps the state of a container while it lives, by its id. */
const STATE_PLACES: readonly StatePlace[] = [
  { runtime: 'runc', placeOf: (id) => `/run/runc/${id}`, file: 'state.json' },
  { runtime: 'crun', placeOf: (id) => `/run/crun/${id}`, file: 'status' },
  { runtime: 'runsc', placeOf: (id) => `/run/runsc/${id}_sandbox:${id}.state` },
];
/** Where those places lie. */
export const BARE_STATE_FOLDERS = ['/run/runc', '/run/crun', '/run/runsc'];
/** What runc takes for an id (validateID); crun and runsc take less or the same. */
const BARE_ID = /^(?!\.{1,2}$)[\w+.-]{1,255}$/;
/** Segments that are looked at, from the innermost on. Reason: a container's group is near; each costs three stats. */
const SEGMENTS_MAX = 8;

/** Returns the container that the path may belong to; null where no runtime has state under any of its names. */
export function bareContainerOf(
  path: string,
  exists: (place: string) => boolean = isThere,
): ContainerPath | null {
  let end = path.length;
  for (let count = 0; count < SEGMENTS_MAX && end > 1; count += 1) {
    const begin = path.lastIndexOf('/', end - 1);
    const id = path.slice(begin + 1, end);
    const found =
      isUnitName(id) || !BARE_ID.test(id)
        ? undefined
        : STATE_PLACES.find(({ placeOf }) => exists(placeOf(id)));
    if (found !== undefined) {
      return {
        containerId: id,
        runtime: found.runtime,
        podUid: null,
        parentId: null,
        depth: 1,
        groupPath: path.slice(0, end),
        isOwnGroup: end === path.length,
        isGuess: found.runtime !== 'runsc',
      };
    }
    end = begin;
  }
  return null;
}

/** Whether its runtime makes the container still: its folder is there, and the state isn't in it yet. */
export function isBeingMade(
  { runtime, containerId }: Pick<ContainerPath, 'runtime' | 'containerId'>,
  exists: (place: string) => boolean = isThere,
): boolean {
  const kept = STATE_PLACES.find((candidate) => candidate.runtime === runtime);
  if (kept?.file === undefined) return false;
  const place = kept.placeOf(containerId);
  return exists(place) && !exists(`${place}/${kept.file}`);
}
