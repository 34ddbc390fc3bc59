// Users as they are written: a number, a range, or a name of this host's /etc/passwd.
import { readFileSync } from 'node:fs';
import { ValueError } from './value-error.ts';

const PASSWD = '/etc/passwd';
/** (uid_t)-1 is no user. */
const USER_ID_MAX = 0xffff_fffe;

export interface UserIds {
  readonly first: number;
  readonly last: number;
}

/** Returns the ids that are meant. Throws a ValueError for a name that isn't known here. */
export function userIds(value: unknown): UserIds {
  const [, first, last = first] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(String(value)) ?? [];
  if (first !== undefined) return rangeOf(Number(first), Number(last));
  if (typeof value !== 'string' || !/^[^\s:,]+$/.test(value))
    throw new Error('the name of a user, a number such as 1000, or a range such as 1000-1999');
  const id = idOf(value);
  return { first: id, last: id };
}

function rangeOf(first: number, last: number): UserIds {
  if (last > USER_ID_MAX) throw new Error(`a number of at most ${USER_ID_MAX}`);
  if (last < first) throw new Error('a range whose first number is not above its last');
  return { first, last };
}

function idOf(name: string): number {
  let lines: string[];
  try {
    lines = readFileSync(PASSWD, 'utf8').split('\n');
  } catch (error) {
    throw unknown(name, `can't be looked up: ${(error as Error).message}; write the user's number`);
  }
  const fields = lines.map((line) => line.split(':')).find(([known]) => known === name);
  const id = Number(fields?.[2] || NaN);
  if (Number.isInteger(id) && id >= 0 && id <= USER_ID_MAX) return id;
  throw unknown(name, `isn't a user of ${PASSWD}: write the number of a user that only containers know`);
}

function unknown(value: string, message: string): ValueError {
  return new ValueError([{ path: [], value, message }]);
}
