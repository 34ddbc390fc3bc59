// Where a user's runtimes keep their state: rootless runtimes use the user's own folders, and what is in them isn't to
// be believed for anybody else's container.
import { userOfGroup } from '../user-slice.ts';
import { readStateFile, type StateFolder } from './state-file.ts';

export interface UserFolders {
  readonly uid: number;
  readonly home: StateFolder;
  /** XDG_RUNTIME_DIR as systemd's login manager makes it. */
  readonly runtime: StateFolder;
}

const PASSWD = Buffer.from('/etc/passwd');
/** Reason: ten thousand users; names from elsewhere (LDAP) aren't looked up. */
const PASSWD_BYTES_MAX = 1024 * 1024;

/** The folders of the group's user; null for a group of no user, or a user without a line in passwd. */
export async function userFoldersOf(
  cgroupPath: string,
  signal: AbortSignal,
  passwdPath: Buffer = PASSWD,
): Promise<UserFolders | null> {
  const uid = userOfGroup(cgroupPath);
  if (uid === null) return null;
  const passwd = await readStateFile(passwdPath, 0, signal, PASSWD_BYTES_MAX);
  const fields = (passwd?.toString() ?? '').split('\n').map((line) => line.split(':'));
  const home = fields.find((line) => line[2] === String(uid))?.[5];
  if (home === undefined || !home.startsWith('/')) return null;
  return {
    uid,
    home: { path: home, ownerUid: uid },
    runtime: { path: `/run/user/${uid}`, ownerUid: uid },
  };
}
