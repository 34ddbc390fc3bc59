// Where container engines listen: the sockets of the host's own engines, and those of users who run their own
// (rootless), below /run/user/UID.
import { opendir, realpath, stat } from 'node:fs/promises';

export type EngineName = 'docker' | 'podman';

export interface EngineSocket {
  /** By the path alone; the engine's own answer decides. */
  readonly engine: EngineName;
  readonly path: string;
  /** The user whose engine it is: its answers hold for that user's containers only. Null: root's, the host's own. */
  readonly ownerUid: number | null;
}

/** Reason: each socket is asked about each container. Overflow: `usersLeftOut` says how many weren't looked at. */
export const USERS_MAX = 256;

const USER_FOLDERS = '/run/user';
/** /var/run is a link to /run on most hosts, and a folder of its own on some. */
const HOST_FOLDERS = ['/run', '/var/run'];

/** Returns the usual sockets, the host's own first: of two that know a container, that one is right. */
export function socketCandidates(uids: readonly number[]): EngineSocket[] {
  const socketsIn = (folder: string, ownerUid: number | null): EngineSocket[] => [
    // Podman first: docker's may be a link to it.
    { engine: 'podman', path: `${folder}/podman/podman.sock`, ownerUid },
    { engine: 'docker', path: `${folder}/docker.sock`, ownerUid },
  ];
  return [
    ...HOST_FOLDERS.flatMap((folder) => socketsIn(folder, null)),
    ...uids.flatMap((uid) => socketsIn(`${USER_FOLDERS}/${uid}`, uid === 0 ? null : uid)),
  ];
}

export interface FoundSockets {
  readonly sockets: readonly EngineSocket[];
  readonly usersLeftOut: number;
}

/**
 * Lists the sockets that exist, each once however many links lead to it. `root` stands before every path: the host's
 * file system as a container sees it. What can't be read counts as not there.
 */
export async function findSockets(root = ''): Promise<FoundSockets> {
  const { uids, usersLeftOut } = await listUsers(`${root}${USER_FOLDERS}`);
  const seen = new Set<string>();
  const sockets: EngineSocket[] = [];
  for (const candidate of socketCandidates(uids)) {
    const realPath = await realSocketPath(root, candidate);
    if (realPath === null || seen.has(realPath)) continue;
    seen.add(realPath);
    sockets.push({ ...candidate, path: `${root}${candidate.path}` });
  }
  return { sockets, usersLeftOut };
}

async function listUsers(folder: string): Promise<{ uids: number[]; usersLeftOut: number }> {
  const uids: number[] = [];
  let usersLeftOut = 0;
  try {
    for await (const { name } of await opendir(folder)) {
      if (!/^(?:0|[1-9][0-9]{0,9})$/.test(name)) continue;
      if (uids.length < USERS_MAX) uids.push(Number(name));
      else usersLeftOut += 1;
    }
  } catch {
    // No logind, no users.
  }
  return { uids: uids.sort((left, right) => left - right), usersLeftOut };
}

/** Returns where the socket really is, or null when there is none that may be connected to. */
async function realSocketPath(root: string, { path, ownerUid }: EngineSocket): Promise<string | null> {
  try {
    const realPath = await realpath(`${root}${path}`);
    const file = await stat(realPath);
    if (!file.isSocket()) return null;
    if (ownerUid === null) return realPath;
    // The folder is the user's own: a link in it could lead root to a socket that the user may not reach.
    const ownFolder = `${await realpath(`${root}${USER_FOLDERS}`)}/${ownerUid}`;
    const isLinked = realPath !== `${ownFolder}${path.slice(`${USER_FOLDERS}/${ownerUid}`.length)}`;
    return file.uid === ownerUid && !isLinked ? realPath : null;
  } catch {
    return null;
  }
}
