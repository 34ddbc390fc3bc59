// The value formats of the configuration: each turns what a user writes into what the code uses, or
// throws an error that says what is expected.
import { parse as parseYaml } from 'yaml';
import { constants as osConstants } from 'node:os';

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 1024, MiB: 1 << 20, GiB: 1 << 30 };
const RULE_FIELDS = ['name', 'image', 'label', 'namespace', 'pod', 'runtime', 'id', 'cgroup'];
const FILE_TYPES = ['regular', 'directory', 'character_device', 'block_device', 'fifo', 'symlink'];

/** Turns a written value into the used one. Throws an Error whose message completes "must be …". */
export type Format = (value: unknown) => unknown;

export function oneOf(...words: readonly string[]): Format {
  return (value) => {
    if (words.includes(String(value))) return String(value);
    throw new Error(`one of ${words.join(', ')}`);
  };
}

/** Milliseconds from `10s`, `250ms`, `5m`, `1h`. */
export const duration: Format = (value) => {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(String(value)) ?? [];
  if (digits === undefined) throw new Error('a duration such as 250ms, 10s, 5m or 1h');
  return Number(digits) * DURATION_UNITS[unit];
};

/** Bytes from `32MiB` or a plain number. */
export function bytes(min: number, max: number, isPowerOfTwo = false): Format {
  return (value) => {
    const [, digits, unit] = /^(\d+)(B|KiB|MiB|GiB)?$/.exec(String(value)) ?? [];
    const count = Number(digits) * BYTE_UNITS[unit ?? ''];
    if (digits === undefined) throw new Error('a size such as 512KiB, 32MiB or 1GiB');
    if (count < min || count > max) throw new Error(`between ${min} and ${max} bytes`);
    if (isPowerOfTwo && !Number.isInteger(Math.log2(count))) throw new Error('a power of two, such as 8MiB');
    return count;
  };
}

export function integer(min: number, max: number): Format {
  return (value) => {
    const number = Number(value);
    const written = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
    if (!/^\d+$/.test(written)) {
      throw new Error(`a whole number from ${min} to ${max}`);
    }
    if (number < min || number > max) throw new Error(`from ${min} to ${max}`);
    return number;
  };
}

export const boolean: Format = (value) => {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw new Error('true or false');
};

export const text: Format = (value) => {
  if (typeof value === 'string' && value !== '') return value;
  throw new Error('text');
};

export const textOrNull: Format = (value) => (value === null || value === 'null' ? null : text(value));

/** Lists and maps may be written as YAML text, in a variable or after --set. */
function structured(value: unknown): unknown {
  return typeof value === 'string' ? parseYaml(value, { prettyErrors: false }) : value;
}

export function listOf(item: Format, what: string): Format {
  return (value) => {
    const list = structured(value);
    if (!Array.isArray(list)) throw new Error(`a list of ${what}, such as [a, b]`);
    return list.map((entry) => item(entry));
  };
}

export const fileType: Format = oneOf(...FILE_TYPES);

export const errno: Format = (value) => {
  const name = String(value);
  if (name in osConstants.errno || name === 'EREMOTEIO') return name;
  throw new Error('names of errnos such as EACCES or ENOSPC');
};

export const rule: Format = (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('rules such as {id: "3f2a*"} or {runtime: docker}');
  }
  const unknown = Object.keys(value).filter((field) => !RULE_FIELDS.includes(field));
  if (unknown.length > 0) throw new Error(`rules of the fields ${RULE_FIELDS.join(', ')} (not ${unknown})`);
  const early = Object.keys(value).filter((field) => !['id', 'runtime', 'cgroup'].includes(field));
  if (early.length > 0) {
    throw new Error(`rules of id, runtime and cgroup: ${early} needs a runtime's API, which isn't built yet`);
  }
  return Object.fromEntries(Object.entries(value).map(([field, glob]) => [field, String(glob)]));
};

export const textMap: Format = (value) => {
  const map = structured(value);
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new Error('a map such as {key: value}');
  return Object.fromEntries(Object.entries(map).map(([key, entry]) => [key, String(entry)]));
};

/** A key of the contract whose feature isn't built: only its neutral value is taken. */
export function notYetBuilt(neutral: unknown): Format {
  return (value) => {
    const isNeutral = value === neutral || JSON.stringify(structured(value)) === JSON.stringify(neutral);
    if (isNeutral) return neutral;
    throw new Error(`${JSON.stringify(neutral)}: anything else isn't built yet`);
  };
}
