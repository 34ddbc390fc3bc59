// Whose container it is, by its control group: systemd's managers put all that a user starts below the user's slice, and
// who owns a group can make more only below it. So a user's engine or state is believed there and nowhere else.

/**
 * The user below whose slice a control group lies (`/user.slice/user-1000.slice/…`); null for root and for all other
 * groups.
 */
export function userOfGroup(cgroupPath: string): number | null {
  const match = /^\/user\.slice\/user-([1-9][0-9]{0,9})\.slice\//.exec(cgroupPath);
  const uid = match === null ? 0 : Number(match[1]);
  return uid === 0 || uid > 0xffffffff ? null : uid;
}
