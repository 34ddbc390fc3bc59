// The value formats of the configuration: each turns what a user writes into what the code uses, or
// throws an error that says what is expected.
import { constants as osConstants } from 'node:os';
import { changeEach, ValueError } from './value-error.ts';
import { userIds } from './users.ts';
import { readYaml } from './yaml-text.ts';

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 1024, MiB: 1 << 20, GiB: 1 << 30 };
const FILE_TYPES = ['regular', 'directory', 'character_device', 'block_device', 'fifo', 'symlink'];
const RULE_FIELDS = ['name', 'image', 'label', 'namespace', 'pod', 'runtime', 'id', 'cgroup'];
/** Runtimes with a socket. */
const SOCKET_RUNTIMES = ['docker', 'podman', 'containerd', 'cri'];
/** Reason: lists are walked at start, or made into one automaton. Overflow: a problem that says so. */
const LIST_ITEMS_MAX = 1000;
/** Reason: they go with every container of every request. Overflow: a problem that says so. */
const RESOURCE_BYTES_MAX = 8192;
/** sun_path of unix(7), without its final NUL. Overflow: a problem that says so. */
const SOCKET_PATH_BYTES_MAX = 107;
/** USER_RANGES_MAX of the kernel side, where each open of a container walks them. Overflow: a problem that says so. */
const USERS_MAX = 32;
const DAY_MS = 86_400_000;

/**
 * Turns a written value into the used one. Throws a ValueError, or an Error whose message completes
 * "must be …".
 */
export interface Format {
  (value: unknown): unknown;
  /** Ends the name of the used value. */
  readonly unit?: 'Ms';
}

export function oneOf(...words: readonly string[]): Format {
  return oneOfBuilt(words, []);
}

/** As oneOf, with words of the contract that aren't built yet. */
export function oneOfBuilt(words: readonly string[], notYetBuiltWords: readonly string[]): Format {
  return (value) => {
    if (words.includes(String(value))) return String(value);
    if (notYetBuiltWords.includes(String(value))) {
      throw new ValueError([{ path: [], value, message: `isn't built yet: take ${words.join(' or ')}` }]);
    }
    throw new Error(`${words.length > 1 ? 'one of ' : ''}${words.join(', ')}`);
  };
}

/** Milliseconds from `10s`, `250ms`, `5m`, `1h`, and plain `0` where there may be none. */
export function durationBetween(minMs: number, maxMs: number): Format {
  return Object.assign(
    (value: unknown) => {
      const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(String(value)) ?? [];
      const durationMs = String(value) === '0' ? 0 : Number(digits) * DURATION_UNITS[unit];
      if (Number.isNaN(durationMs)) throw new Error('a duration such as 250ms, 10s, 5m or 1h');
      if (durationMs < minMs || durationMs > maxMs)
        throw new Error(`from ${minMs}ms to ${maxMs / DURATION_UNITS.h}h`);
      return durationMs;
    },
    { unit: 'Ms' as const },
  );
}

/** Reason of the day: no timer that fdspan sets is longer. */
export const duration: Format = durationBetween(0, DAY_MS);

/** Bytes from `32MiB`, `1.5GiB` or a plain number. */
export function bytes(min: number, max: number, isPowerOfTwo = false): Format {
  return (value) => {
    const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)?$/.exec(String(value)) ?? [];
    const count = Number(digits ?? numberOf(value)) * BYTE_UNITS[unit];
    if (!Number.isInteger(count)) throw new Error('a size in whole bytes, such as 512KiB, 1.5MiB or 1GiB');
    if (count < min || count > max) throw new Error(`from ${sizeOf(min)} to ${sizeOf(max)}`);
    if (isPowerOfTwo && !Number.isInteger(Math.log2(count))) throw new Error('a power of two, such as 8MiB');
    return count;
  };
}

function sizeOf(count: number): string {
  const unit = ['GiB', 'MiB', 'KiB'].find((name) => count % BYTE_UNITS[name] === 0) ?? 'B';
  return `${count / BYTE_UNITS[unit]}${unit}`;
}

export function integer(min: number, max: number): Format {
  return (value) => {
    const number = numberOf(value);
    if (!Number.isInteger(number)) throw new Error(`a whole number from ${min} to ${max}`);
    if (number < min || number > max) throw new Error(`from ${min} to ${max}`);
    return number;
  };
}

/** A number as YAML writes it (1000, 1e3, 0x3e8), also in a variable; NaN for anything else. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value;
  const isNumber =
    typeof value === 'string' &&
    /^[-+]?(\d+|0o[0-7]+|0x[0-9a-f]+|(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)$/i.test(value);
  return isNumber ? Number(value) : NaN;
}

export const boolean: Format = (value) => {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw new Error('true or false');
};

export const text: Format = (value) => {
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
  throw new Error('text');
};

export const textOrNull: Format = (value) => (value === null || value === 'null' ? null : text(value));

/** Where fdspan writes: relative to what it was started in would be another folder after a restart. */
export const folderOrNull: Format = (value) => {
  const path = textOrNull(value);
  if (typeof path === 'string' && !path.startsWith('/')) throw new Error('an absolute path, or null');
  return path;
};

/** A port of loopback, or an address and a port; null: none. Port 0 is any free one; the address `*` is every one, told as null. */
export const listenAddress: Format = (value) => {
  if (value === null || value === 'null') return null;
  const text = typeof value === 'number' ? String(value) : value;
  const [, ipv6, name, digits] =
    /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):)?(\d{1,5})$/.exec(typeof text === 'string' ? text : '') ?? [];
  const port = Number(digits);
  if (Number.isNaN(port) || port > 65_535)
    throw new Error('a port, or an address and a port, such as 9464, 127.0.0.1:9464, [::1]:9464 or *:9464');
  return { host: name === '*' ? null : (ipv6 ?? name ?? '127.0.0.1'), port };
};

/** v1 controllers; a kernel that lacks one says so at the start. */
const CGROUP1_CONTROLLERS =
  'auto pids memory cpu cpuacct blkio devices freezer cpuset net_cls net_prio perf_event hugetlb rdma misc'.split(
    ' ',
  );

export const cgroup1Hierarchy: Format = (value) => {
  if (String(value).startsWith('name=')) {
    const message =
      'has no controller, so a task has no fixed place for its group there, and each open would walk a list: ' +
      'take the hierarchy of a controller, or scope.by mntns';
    throw new ValueError([{ path: [], value, message }]);
  }
  return oneOf(...CGROUP1_CONTROLLERS)(value);
};

/** A number is text here: `2024` is a directory's name. */
export const glob: Format = (value) => text(typeof value === 'number' ? String(value) : value);

/** A glob alone is masked. */
export const redactRule: Format = (value) => {
  const entries = typeof value === 'object' ? entriesOf(value) : null;
  if (entries === null) return { path: glob(value), with: 'mask' };
  const { path, with: how = 'mask', ...others } = Object.fromEntries(entries);
  if (typeof path !== 'string' || path === '' || Object.keys(others).length > 0)
    throw new Error('a glob, or a map such as {path: "/home/*/**", with: hash}');
  return { path, with: oneOf('mask', 'hash')(how) };
};

/** Reason: as many characters as the hash's key has bytes. */
const SECRET_CHARACTERS_MIN = 16;

export const secretOrNull: Format = (value) => {
  const secret = textOrNull(value) as string | null;
  if (secret !== null && secret.length < SECRET_CHARACTERS_MIN)
    throw new Error(`text of at least ${SECRET_CHARACTERS_MIN} characters, or null`);
  return secret;
};

export const socketPath: Format = (value) => {
  const bytesCount = Buffer.byteLength(String(text(value)));
  if (bytesCount > SOCKET_PATH_BYTES_MAX) throw new Error(`a path of at most ${SOCKET_PATH_BYTES_MAX} bytes`);
  return value;
};

/** Lists and maps may be written as YAML text, in a variable or after --set. Wrong YAML stays text. */
function structured(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const { written, problems } = readYaml(value);
  return problems.length > 0 ? value : (written?.value ?? null);
}

export function listOf(item: Format, what: string): Format {
  return (value) => {
    const list = structured(value);
    if (!Array.isArray(list)) throw new Error(`a list of ${what}, such as [a, b]; write [] for none`);
    if (list.length > LIST_ITEMS_MAX) throw new Error(`a list of at most ${LIST_ITEMS_MAX} ${what}`);
    return changeEach(
      list.map((entry, index) => [index, entry] as const),
      item,
    ).map(([, used]) => used);
  };
}

export const fileType: Format = oneOf(...FILE_TYPES);

/** Values of fdspan.access. */
export const access: Format = oneOf('read', 'write', 'read_write', 'path', 'none');

/** Users of processes; a list of their own limit, which the kernel walks. */
export const users: Format = (value) => {
  const list = listOf(userIds, 'users')(value) as unknown[];
  if (list.length > USERS_MAX) throw new Error(`a list of at most ${USERS_MAX} users and ranges`);
  return list;
};

export const errno: Format = (value) => {
  const name = String(value);
  if (Object.hasOwn(osConstants.errno, name)) return name;
  throw new Error('the name of an errno, such as EACCES or ENOSPC');
};

/** A map of text, or null for something else. Nothing below the key is an empty map. */
function entriesOf(value: unknown): [string, unknown][] | null {
  const map = structured(value) ?? {};
  return typeof map === 'object' && !Array.isArray(map) ? Object.entries(map) : null;
}

function entryText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return text(value) as string;
}

export const rule: Format = (value) => {
  const fields = typeof value === 'object' ? entriesOf(value) : null;
  if (fields === null || fields.length === 0)
    throw new Error('a rule such as {name: "web-*"} or {runtime: docker}');
  return Object.fromEntries(changeEach(fields, ruleField));
};

function ruleField(value: unknown, field: string): string {
  if (RULE_FIELDS.includes(field)) return entryText(value);
  const message = `is under a field that no rule has: the fields are ${RULE_FIELDS.join(', ')}`;
  throw new ValueError([{ path: [], value, message }]);
}

/** Which runtimes are asked: `auto`, or a map of those that differ from it. */
export const runtimes: Format = (value) => {
  if (value === 'auto') return value;
  const entries = entriesOf(value);
  if (entries === null || entries.length === 0)
    throw new Error('auto, or a map such as {docker: off, containerd: /run/own/containerd.sock}');
  return Object.fromEntries(changeEach(entries, runtimeSetting));
};

function runtimeSetting(value: unknown, name: string): unknown {
  if (name !== 'state' && !SOCKET_RUNTIMES.includes(name)) {
    const message = `is under a runtime that isn't known: there are ${SOCKET_RUNTIMES.join(', ')} and state`;
    throw new ValueError([{ path: [], value, message }]);
  }
  if (value === false || value === 'off') return 'off';
  if (value === 'auto') return value;
  if (name === 'state') throw new Error('auto or off');
  const paths = (Array.isArray(value) ? value : [value]) as unknown[];
  const isSocketPath = (path: unknown): boolean =>
    typeof path === 'string' && path.startsWith('/') && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX;
  if (paths.length > 0 && paths.every(isSocketPath)) return paths;
  throw new Error('auto, off, or the whole path of a socket (or a list of them)');
}

export const textMap: Format = (value) => {
  const entries = entriesOf(value);
  if (entries === null) throw new Error('a map such as {key: value}');
  const used = changeEach(entries, (entry, key) => {
    if (key === '')
      throw new ValueError([{ path: [], value: entry, message: 'needs a key that is not empty' }]);
    return entryText(entry);
  });
  return Object.fromEntries(used);
};

/** Attributes of every container. */
export const resource: Format = (value) => {
  const attributes = textMap(value);
  const bytesCount = Buffer.byteLength(JSON.stringify(attributes));
  if (bytesCount > RESOURCE_BYTES_MAX) throw new Error(`at most ${RESOURCE_BYTES_MAX} bytes as JSON`);
  return attributes;
};
