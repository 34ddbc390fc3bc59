// A pair as values: the record that the kernel would write of it, and the span that it must become. The
// span is worked out from docs/data-model.md and bpf/record.h by other means than src/encode uses.
import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import type { OtlpAttributes, OtlpSpan } from './otlp-messages.ts';

export type Level = 'lean' | 'standard' | 'full';

export interface Pair {
  readonly reason: number;
  readonly flags: number;
  readonly executable: Uint8Array;
  readonly path: Uint8Array;
  readonly comm: Uint8Array;
  readonly openedBootNs: bigint;
  readonly closedBootNs: bigint;
  readonly openDurationNs: bigint;
  readonly execution: bigint;
  readonly sliceBegunBootNs: bigint;
  readonly random: number;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** What went through the file; left out: nothing. */
  readonly io?: {
    readonly readBytes: bigint;
    readonly writtenBytes: bigint;
    readonly reads: number;
    readonly writes: number;
  };
  readonly pid: number;
  readonly tid: number;
  readonly vpid: number;
  readonly parentPid: number;
  readonly userId: number;
  readonly fd: number;
  readonly openFlags: number;
  readonly mode: number;
  readonly device: number;
  readonly namespaces: readonly number[];
}

export type ExpectedSpan = Pick<
  OtlpSpan,
  'name' | 'kind' | 'startTimeUnixNano' | 'endTimeUnixNano' | 'attributes' | 'status'
>;

/** Struct pair_record with its strings, field by field from bpf/record.h. */
export function recordOf(pair: Pair): Uint8Array {
  const record = Buffer.alloc(184 + pair.executable.length + pair.path.length);
  record.writeUInt8(1, 0);
  record.writeUInt8(pair.reason, 1);
  record.writeUInt16LE(pair.flags, 2);
  record.writeUInt16LE(pair.executable.length, 4);
  record.writeUInt16LE(pair.path.length, 6);
  const times = [pair.openedBootNs, pair.closedBootNs, pair.openDurationNs];
  const longs = [...times, pair.execution, pair.sliceBegunBootNs, pair.inode, pair.sizeBytes];
  longs.forEach((word, at) => record.writeBigUInt64LE(word, 16 + 8 * at));
  if (pair.io !== undefined) {
    record.writeBigUInt64LE(pair.io.readBytes, 72);
    record.writeBigUInt64LE(pair.io.writtenBytes, 80);
    record.writeUInt32LE(pair.io.reads, 88);
    record.writeUInt32LE(pair.io.writes, 92);
  }
  record.writeUInt32LE(pair.random, 96);
  const ids = [pair.pid, pair.tid, pair.vpid, pair.parentPid, pair.userId];
  const words = [...ids, pair.fd >>> 0, pair.openFlags, pair.mode, pair.device, ...pair.namespaces];
  words.forEach((word, at) => record.writeUInt32LE(word, 104 + 4 * at));
  record.set(pair.comm, 168);
  record.set(pair.executable, 184);
  record.set(pair.path, 184 + pair.executable.length);
  return record;
}

/** One code point of UTF-8, by the grammar of RFC 3629 (section 4), or a byte that isn't part of one. */
const UTF8 =
  /([\0-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})|[\x80-\xff]/g;

/** Bytes as text; those that aren't UTF-8 as `\xNN`. */
export function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes)
    .toString('latin1')
    .replace(UTF8, (match, valid: string | undefined) => valid ?? `\\x${match.charCodeAt(0).toString(16)}`);
  return Buffer.from(text, 'latin1').toString('utf8');
}

const CHANGING =
  /(?<![0-9a-z])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z]))|[0-9]+/gi;
const NAME_BYTES_MAX = 255;

/** Names the spans of one container, which may use so many names, and as many names of directories. */
export class NameModel {
  readonly #namesMax: number;
  readonly #names = new Set<string>();
  readonly #directories = new Set<string>();

  constructor(namesMax: number) {
    this.#namesMax = namesMax;
  }

  nameOf(path: string): string {
    if (this.#isTaken(this.#names, path)) return `open ${path.replace(CHANGING, '*')}`;
    const directory = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    return this.#isTaken(this.#directories, directory) ? `open ${directory.replace(CHANGING, '*')}` : 'open';
  }

  #isTaken(names: Set<string>, text: string): boolean {
    const name = `open ${text.replace(CHANGING, '*')}`;
    if (text === '' || Buffer.byteLength(name) > NAME_BYTES_MAX) return false;
    if (!names.has(name) && names.size === this.#namesMax) return false;
    names.add(name);
    return true;
  }
}

/** asm-generic/errno-base.h and errno.h; the rest is `_OTHER`. */
const ERRNOS: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  5: 'EIO',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  21: 'EISDIR',
  24: 'EMFILE',
  26: 'ETXTBSY',
  28: 'ENOSPC',
  30: 'EROFS',
  36: 'ENAMETOOLONG',
  40: 'ELOOP',
  75: 'EOVERFLOW',
  95: 'EOPNOTSUPP',
  116: 'ESTALE',
  122: 'EDQUOT',
};
/** Errnos that tests may use: those above, and numbers that no errno has. */
export const KNOWN_ERRNOS = [...Object.keys(ERRNOS).map(Number), 4095, 2147483648];

const REASONS = [undefined, 'close', 'close_range', 'dup', 'exec', 'exit', 'stop', 'lost', 'held'];
const HELD = REASONS.indexOf('held');
const NAMESPACES = ['mnt', 'pid', 'uts', 'net', 'ipc', 'user', 'cgroup'];
const TYPES: Readonly<Record<number, string>> = {
  [constants.S_IFREG]: 'regular',
  [constants.S_IFDIR]: 'directory',
  [constants.S_IFCHR]: 'character_device',
  [constants.S_IFBLK]: 'block_device',
  [constants.S_IFIFO]: 'fifo',
  [constants.S_IFLNK]: 'symbolic_link',
  [constants.S_IFSOCK]: 'socket',
};
/** Flags that Node's constants of this platform don't hold (asm-generic/fcntl.h; arm64 has its own). */
const MORE_FLAGS = {
  O_ASYNC: 0o20000,
  O_LARGEFILE: process.arch === 'arm64' ? 0o400000 : 0o100000,
  O_CLOEXEC: 0o2000000,
  O_PATH: 0o10000000,
  O_TMPFILE: 0o20000000 | constants.O_DIRECTORY,
  O_ACCMODE: 3,
};

/** The number that a flags string stands for: names, and bits without one as a number. */
export function flagsOf(text: string): number {
  const named: Readonly<Record<string, number>> = { ...constants, ...MORE_FLAGS };
  return text.split('|').reduce((flags, name) => (flags | (named[name] ?? Number(name))) >>> 0, 0);
}

function accessOf(openFlags: number): string {
  if ((openFlags & MORE_FLAGS.O_PATH) !== 0) return 'path';
  return ['read', 'write', 'read_write', 'none'][openFlags & 3];
}

/** An integer of 64 bits as the decoder of the tests gives it. */
function integer(value: bigint | number): number | bigint {
  const signed = BigInt.asIntN(64, BigInt(value));
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

export interface Surroundings {
  readonly level: Level;
  readonly hasIoTotals?: boolean | undefined;
  readonly offsetNs: bigint;
  /** Of the container's own namespaces; 0 = not known. */
  readonly namespaces: readonly number[];
  /** null: every span is named by its operation alone. */
  readonly names: NameModel | null;
}

/** The span of a pair, without its ids and without `fdspan.open.flags`, whose text has several right forms. */
export function spanOf(pair: Pair, around: Surroundings): ExpectedSpan {
  const path = textOf(pair.path);
  const errno = pair.fd < 0 ? (ERRNOS[-pair.fd] ?? '_OTHER') : null;
  const attributes: Record<string, OtlpAttributes[string] | undefined> = {
    'file.path': path,
    'fdspan.access': accessOf(pair.openFlags),
    'fdspan.close.reason': REASONS[pair.reason],
    'process.pid': pair.pid,
    'process.user.id': pair.userId,
    'process.executable.name': textOf(pair.executable),
    'fdspan.fd': errno === null ? pair.fd : undefined,
    'error.type': errno ?? undefined,
  };
  if (around.hasIoTotals === true && errno === null) {
    const { readBytes, writtenBytes, reads, writes } = pair.io!;
    attributes['fdspan.io.read.bytes'] = integer(readBytes);
    attributes['fdspan.io.read.calls'] = reads;
    attributes['fdspan.io.write.bytes'] = integer(writtenBytes);
    attributes['fdspan.io.write.calls'] = writes;
  }
  NAMESPACES.forEach((name, at) => {
    const [own, usual] = [pair.namespaces[at], around.namespaces[at]];
    if (own !== 0 && usual !== 0 && own !== usual) attributes[`fdspan.ns.${name}`] = own;
  });
  if (around.level !== 'lean') Object.assign(attributes, standardOf(pair));
  if (around.level === 'full') {
    const slash = path.lastIndexOf('/');
    attributes['file.directory'] = slash < 0 ? undefined : path.slice(0, Math.max(1, slash));
    attributes['file.size'] = errno === null ? integer(pair.sizeBytes) : undefined;
    attributes['process.vpid'] = pair.vpid;
    attributes['process.parent_pid'] = pair.parentPid;
  }
  return {
    // A report shares its names with the spans of opens.
    name: (around.names?.nameOf(path) ?? 'open').replace(/^open/, pair.reason === HELD ? 'held' : 'open'),
    kind: 1,
    startTimeUnixNano: BigInt.asUintN(64, pair.openedBootNs + around.offsetNs),
    endTimeUnixNano: BigInt.asUintN(64, pair.closedBootNs + around.offsetNs),
    attributes: Object.fromEntries(
      Object.entries(attributes).filter(([, value]) => value !== undefined),
    ) as OtlpAttributes,
    status: errno === null ? { code: 0, message: '' } : { code: 2, message: errno },
  };
}

function standardOf(pair: Pair): Record<string, OtlpAttributes[string] | undefined> {
  const commBytes = pair.comm.indexOf(0);
  const opened =
    pair.fd < 0
      ? {}
      : {
          'file.inode': String(pair.inode),
          'file.mode': (pair.mode & 0o7777).toString(8).padStart(4, '0'),
          'fdspan.file.type': TYPES[pair.mode & constants.S_IFMT],
          'fdspan.file.device': `${Math.floor(pair.device / 2 ** 20)}:${pair.device % 2 ** 20}`,
        };
  return {
    ...opened,
    'fdspan.thread.tid': pair.tid,
    [pair.reason === HELD ? 'fdspan.held.duration_ns' : 'fdspan.open.duration_ns']: integer(
      pair.openDurationNs,
    ),
    'thread.name': textOf(commBytes < 0 ? pair.comm : pair.comm.subarray(0, commBytes)),
    'fdspan.file.path.truncated': (pair.flags & 1) !== 0 || undefined,
    'fdspan.file.path.renamed': (pair.flags & 2) !== 0 || undefined,
    'fdspan.open.adopted': (pair.flags & 4) !== 0 || undefined,
    'fdspan.open.start_missed': (pair.flags & 8) !== 0 || undefined,
    'fdspan.phase': (pair.flags & 16) !== 0 ? 'runtime' : 'container',
    'fdspan.file.path.escaped': !isUtf8(pair.path) || undefined,
  };
}
