// Whose container it is, and where that user's runtimes keep their state: rootless runtimes use the
// user's own folders, and the user's name in them isn't to be believed for anybody else's container.
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

/**
 * The user below whose slice a control group lies (`/user.slice/user-1000.slice/…`), null for all other groups.
 * Only systemd's managers make these groups; who owns one can make more only below it.
 */
export function userOfGroup(cgroupPath: string): number | null {
  const match = /^\/user\.slice\/user-([0-9]{1,10})\.slice\//.exec(cgroupPath);
  const uid = match === null ? 0 : Number(match[1]);
  return uid === 0 || uid > 0xffffffff ? null : uid;
}

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
