// What can be told of the spool's folder before anything is written to it. The collector starts all the same: a disk may be
// full, read-only or not there for a while.
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const { R_OK, W_OK, X_OK } = constants;
const MIB = 1 << 20;

/** Returns what would keep the spool from working now, for the user that asks; touches nothing. */
export function spoolFolderProblems(dir: string, bytesMax: number): string[] {
  try {
    const existing = nearestExisting(dir);
    if (!statSync(existing).isDirectory()) return [`${existing} isn't a folder`];
    accessSync(existing, R_OK | W_OK | X_OK);
    const { blocks, bsize } = statfsSync(existing);
    if (blocks * bsize >= bytesMax) return [];
    const has = `its file system has ${Math.floor((blocks * bsize) / MIB)} MiB`;
    return [`${has}, and export.spool.bytes_max is ${Math.ceil(bytesMax / MIB)} MiB`];
  } catch (error) {
    return [`the folder can't be used by user ${process.getuid?.()}: ${(error as Error).message}`];
  }
}

/** The start makes what is missing. Throws where even the root can't be looked at. */
function nearestExisting(path: string): string {
  try {
    statSync(path);
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    return nearestExisting(dirname(path));
  }
}
