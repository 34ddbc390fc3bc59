// Bounded reads of the files in which runtimes keep their state. Users and containers choose what lies there: a link,
// a pipe, a file of somebody else is refused.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseJson, recordOf, type Fields } from '../fields.ts';
import { ANSWER_BYTES_MAX } from '../runtime-source.ts';
import { untilAborted } from '../until-aborted.ts';
import { userBytes } from '../user-bytes.ts';

/** A folder of state files, and whose files in it are believed. */
export interface StateFolder {
  readonly path: string;
  /** A user could link to what only others may read; so each file must belong to this user. */
  readonly ownerUid: number;
}

export type StateFileErrorCode =
  | 'FDSPAN_STATE_NOT_REGULAR'
  | 'FDSPAN_STATE_WRONG_OWNER'
  | 'FDSPAN_STATE_TOO_LARGE'
  | 'FDSPAN_STATE_TOO_MANY'
  | 'FDSPAN_STATE_DAMAGED'
  | 'FDSPAN_STATE_UNREADABLE';

/** A state file is there and can't be believed; `code` says why. */
export class StateFileError extends Error {
  readonly code: StateFileErrorCode;

  constructor(code: StateFileErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StateFileError';
    this.code = code;
  }
}

/** Longest name of a file, as the kernel has it; a longer id names no state. */
const FILE_NAME_BYTES_MAX = 255;

/** Reason: a runtime needs less than this from opening a state file to its last byte. */
const TORN_RETRY_MS = 3;

/**
 * Joins a folder with names that come from a control group's path (latin1, one character a byte).
 * Null when a name could leave the folder, or could be no file's name.
 */
export function statePath(folder: string, ...names: readonly string[]): Buffer | null {
  const parts = [Buffer.from(folder)];
  for (const name of names) {
    const isName = name !== '' && name !== '.' && name !== '..' && name.length <= FILE_NAME_BYTES_MAX;
    if (!isName || name.includes('/') || name.includes('\0')) return null;
    parts.push(Buffer.from('/'), Buffer.from(name, 'latin1'));
  }
  return Buffer.concat(parts);
}

/**
 * Reads a whole state file; null when there is none. Rejects with {@link StateFileError} for a link, a
 * pipe, a file of another owner, more than `bytesMax` bytes, and what user-bytes.ts allows no user; with the signal's
 * reason when it aborts.
 */
export async function readStateFile(
  path: Buffer,
  ownerUid: number,
  signal: AbortSignal,
  bytesMax: number = ANSWER_BYTES_MAX,
): Promise<Buffer | null> {
  return untilAborted(readChecked(path, ownerUid, bytesMax), signal);
}

async function readChecked(path: Buffer, ownerUid: number, bytesMax: number): Promise<Buffer | null> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK a pipe that was planted here would hold a thread for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    const reason = code === 'ELOOP' || code === 'ENXIO' ? 'NOT_REGULAR' : 'UNREADABLE';
    throw new StateFileError(`FDSPAN_STATE_${reason}`, `opening ${path.toString()}: ${code}`, {
      cause: error,
    });
  }
  try {
    return await readOpened(file, path, ownerUid, bytesMax);
  } finally {
    await file.close();
  }
}

async function readOpened(
  file: FileHandle,
  path: Buffer,
  ownerUid: number,
  bytesMax: number,
): Promise<Buffer> {
  const { size, uid, ...stat } = await file.stat();
  const refuse = (code: StateFileErrorCode, why: string): StateFileError =>
    new StateFileError(code, `reading ${path.toString()}: ${why}`);
  if ((stat.mode & constants.S_IFMT) !== constants.S_IFREG) {
    throw refuse('FDSPAN_STATE_NOT_REGULAR', 'it is no regular file');
  }
  if (uid !== ownerUid) {
    throw refuse('FDSPAN_STATE_WRONG_OWNER', `it belongs to user ${uid}, not ${ownerUid}`);
  }
  const max = userBytes.maxOf(ownerUid, bytesMax);
  if (size > max) {
    userBytes.refuse(ownerUid);
    throw refuse('FDSPAN_STATE_TOO_LARGE', `it has ${size} bytes, more than ${max}`);
  }
  if (!userBytes.take(ownerUid, size)) {
    throw refuse('FDSPAN_STATE_TOO_MANY', `user ${ownerUid} has had enough read this second`);
  }
  const bytes = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(bytes, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/**
 * Reads a state file that holds a JSON object; null when there is none. One that is being written is read
 * once more; what then is no object rejects with `FDSPAN_STATE_DAMAGED`.
 */
export async function readStateJson(
  path: Buffer,
  ownerUid: number,
  signal: AbortSignal,
): Promise<Fields | null> {
  const value = await readStateValue(path, ownerUid, signal);
  if (value === null) return null;
  const record = recordOf(value.parsed);
  if (record !== null) return record;
  throw new StateFileError('FDSPAN_STATE_DAMAGED', `reading ${path.toString()}: it is no JSON object`);
}

/** As {@link readStateJson}, for any JSON. */
export async function readStateValue(
  path: Buffer,
  ownerUid: number,
  signal: AbortSignal,
): Promise<{ readonly parsed: unknown } | null> {
  for (let isLast = false; ; isLast = true) {
    const bytes = await readStateFile(path, ownerUid, signal);
    if (bytes === null) return null;
    const value = parseJson(bytes.toString());
    if (value !== null) return value;
    if (isLast) {
      throw new StateFileError('FDSPAN_STATE_DAMAGED', `reading ${path.toString()}: it is no JSON`);
    }
    await untilAborted(delay(TORN_RETRY_MS), signal);
  }
}
