// Podman's own database of containers, read without podman: BoltDB (the default up to 4.x) or SQLite. Both keep a
// container's settings as the same JSON.
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { recordOfText, type Fields } from '../fields.ts';
import { ANSWER_BYTES_MAX } from '../runtime-source.ts';
import { untilAborted } from '../until-aborted.ts';
import { userBytes } from '../user-bytes.ts';
import { readBoltValue } from './bolt-file.ts';

export interface DatabaseFolders {
  readonly graphRoot: string;
  readonly runRoot: string;
  readonly ownerUid: number;
}

/** SQLite's code for a database that a writer has locked. */
const SQLITE_BUSY = 5;
/** Reason: podman locks it while it starts the container that is asked about, for the time of a sync to disk. */
const BUSY_RETRIES_MAX = 10;
const BUSY_RETRY_MS = 10;

/**
 * Reads the settings that podman keeps of a container; null when they can't be had from here: no such container,
 * damaged, or a user's SQLite (see {@link readSqlite}). Rejects when a writer keeps SQLite locked for 100 ms.
 */
export async function readPodmanSettings(
  folders: DatabaseFolders,
  id: string,
  signal: AbortSignal,
): Promise<Fields | null> {
  const { graphRoot, runRoot, ownerUid } = folders;
  const sqlitePaths = [`${graphRoot}/db.sql`, `${graphRoot}/libpod/db.sql`, `${runRoot}/db.sql`];
  for (const path of ownerUid === 0 ? sqlitePaths : []) {
    const settings = await readUnlocked(path, id, signal);
    if (settings !== null) return settings;
  }
  return untilAborted(readBolt(`${graphRoot}/libpod/bolt_state.db`, ownerUid, id), signal);
}

async function readBolt(path: string, ownerUid: number, id: string): Promise<Fields | null> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(() => null);
  if (file === null) return null;
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.uid !== ownerUid) return null;
    const mayRead = (bytes: number): boolean => userBytes.take(ownerUid, bytes);
    const value = await readBoltValue({ file, mayRead }, ['ctr', id, 'config']);
    return value === null ? null : recordOfText(value.toString());
  } catch {
    // The name and the image are known without it.
    return null;
  } finally {
    await file.close();
  }
}

async function readUnlocked(path: string, id: string, signal: AbortSignal): Promise<Fields | null> {
  for (let retries = 0; ; retries++) {
    try {
      return await untilAborted(readSqlite(path, id), signal);
    } catch (error) {
      if (!isBusy(error) || retries === BUSY_RETRIES_MAX) throw error;
    }
    await untilAborted(delay(BUSY_RETRY_MS), signal);
  }
}

function isBusy(error: unknown): boolean {
  return (error as { readonly errcode?: unknown }).errcode === SQLITE_BUSY;
}

/**
 * One row by its key, on the calling thread (below 1 ms). Only for databases of root: a user could put
 * a view in the table's place whose query never ends.
 */
async function readSqlite(path: string, id: string): Promise<Fields | null> {
  const stat = await lstat(path).catch(() => null);
  if (stat === null || !stat.isFile() || stat.uid !== 0) return null;
  // Loaded late: most hosts have no such database.
  const { DatabaseSync } = await import('node:sqlite');
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 0 });
    try {
      const query = 'SELECT JSON FROM ContainerConfig WHERE ID = ? AND length(JSON) <= ?';
      return recordOfColumn(database.prepare(query).get(id, ANSWER_BYTES_MAX)?.JSON);
    } finally {
      database.close();
    }
  } catch (error) {
    if (isBusy(error)) throw error;
    return null;
  }
}

/** Podman binds the JSON as bytes, which SQLite keeps as a blob in the column of text. */
function recordOfColumn(column: unknown): Fields | null {
  return recordOfText(column instanceof Uint8Array ? Buffer.from(column).toString() : column);
}
