// What can be told of the spool's folder before anything is written to it. The collector starts all the same: a disk may be
// full, read-only or not there for a while.
import { constants } from 'node:fs';
import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { lookAtFolder, type FolderLook } from '../../model/look-at-folder.ts';

const { R_OK, W_OK, X_OK } = constants;
const MIB = 1 << 20;

export interface SpoolFolderLook extends FolderLook {
  /** What its file system has room for: what is free, and what the spool has of it already. 0 with an error. */
  readonly roomBytes: number;
  readonly isTooSmall: boolean;
}

/** Looks at the folder for the user that asks; touches nothing. */
export async function lookAtSpoolFolder(dir: string, bytesMax: number, root = ''): Promise<SpoolFolderLook> {
  const look = await lookAtFolder(dir, R_OK | W_OK | X_OK, root);
  if (look.error !== null) return { ...look, roomBytes: 0, isTooSmall: false };
  try {
    const { bavail, bsize } = await statfs(root + look.existing);
    const held = look.existing === dir ? await spooledBytes(root + dir) : 0;
    const roomBytes = bavail * bsize + held;
    return { ...look, roomBytes, isTooSmall: roomBytes < bytesMax };
  } catch (error) {
    return { ...look, error: error as NodeJS.ErrnoException, roomBytes: 0, isTooSmall: false };
  }
}

/** Returns what would keep the spool from working now. */
export async function spoolFolderProblems(dir: string, bytesMax: number): Promise<string[]> {
  const { error, roomBytes, isTooSmall } = await lookAtSpoolFolder(dir, bytesMax);
  if (error !== null) return [`the folder can't be used by user ${process.getuid?.()}: ${error.message}`];
  if (!isTooSmall) return [];
  const room = `its file system has room for ${Math.floor(roomBytes / MIB)} MiB`;
  return [`${room}, and export.spool.bytes_max is ${Math.ceil(bytesMax / MIB)} MiB`];
}

async function spooledBytes(dir: string): Promise<number> {
  let bytes = 0;
  for await (const { name } of await opendir(dir)) {
    if (!name.endsWith('.spool')) continue;
    // A running collector deletes what was sent.
    const file = await lstat(join(dir, name)).catch(() => null);
    if (file?.isFile()) bytes += file.size;
  }
  return bytes;
}
