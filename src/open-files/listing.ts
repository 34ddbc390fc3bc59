// Answers `fdspan open`: the kernel's entries of pending opens become rows, in portions, so that neither the main
// thread nor memory is held by 100,000 open files.
import { isUtf8 } from 'node:buffer';
import { textOfBytes } from '../containers/byte-text.ts';
import { acceptsOf, compileGlobs } from '../filter/glob-table.ts';
import type { Redactor } from '../filter/redactor.ts';
import { accessOf, ACCESSES } from '../model/access.ts';
import type { GlobTable } from '../model/glob-table.ts';
import type { OpenFileRow, OpenFilesQuery, OpenFilesTotal } from '../model/open-file-row.ts';
import * as layout from '../model/record-layout.ts';

/** Reason: some 60 KB of a line, and less than a millisecond of work. */
const ROWS_PER_MESSAGE = 128;
const NS_PER_MS = 1_000_000n;
/** The accept word where the glob fits. */
const MATCHES = 1;
const NO_DESCRIPTOR = 0xffff_ffff;
const DELETED_SUFFIX_BYTES = ' (deleted)'.length;

/** A container as far as a listing needs it. */
export interface ListingContainer {
  readonly id: string;
  readonly name: string | null;
  readonly verdict: string;
  /** 0: it is not traced, and never was. */
  readonly slot: number;
  readonly scopes: readonly bigint[];
}

export interface ListingSources {
  /** Entries of struct open_file with their records, whole ones, valid until the next portion. */
  readonly portions: AsyncIterable<Buffer>;
  readonly containers: readonly ListingContainer[];
  readonly bootNs: bigint;
  readonly unixNs: bigint;
  /** Hides what rules say of paths, before they are matched or told; null: nothing. */
  readonly redactor: Redactor | null;
}

/** Thrown for a question that can't be answered; its message says why. */
export class BadQueryError extends Error {
  readonly code = 'BAD_QUERY';
}

/** Yields rows, some at a time, and returns the totals. Throws {@link BadQueryError}. */
export async function* listOpenFiles(
  { portions, containers, bootNs, unixNs, redactor }: ListingSources,
  query: OpenFilesQuery,
): AsyncGenerator<readonly OpenFileRow[], OpenFilesTotal, void> {
  const globs = query.path === undefined ? null : globsOf(query.path);
  const named = query.container === undefined ? null : containersNamed(containers, query.container);
  const byScope = new Map(containers.flatMap((one) => one.scopes.map((scope) => [scope, one] as const)));
  let files = 0;
  let lookedAt = 0;
  let rows: OpenFileRow[] = [];
  for await (const portion of portions) {
    for (let at = 0; at < portion.length; at += portion.readUInt32LE(at + layout.OPEN_FILE_LENGTH)) {
      lookedAt += 1;
      const entry = new OpenFileEntry(portion, at, redactor);
      const container = byScope.get(entry.scope);
      if (container?.verdict === 'deny' && container.slot === 0) continue;
      if (named !== null && (container === undefined || !named.has(container))) continue;
      if (globs !== null && !isMatch(globs, entry)) continue;
      rows.push(rowOf(entry, container, bootNs, unixNs));
      if (rows.length < ROWS_PER_MESSAGE) continue;
      files += rows.length;
      yield rows;
      rows = [];
      // Two messages of one portion would otherwise follow each other without a turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  if (rows.length > 0) yield rows;
  return { files: files + rows.length, looked_at: lookedAt, containers: named?.size ?? null };
}

/** Where a name or a whole id fits, it is meant; only else the beginning of an id. */
function containersNamed(
  containers: readonly ListingContainer[],
  wanted: string,
): ReadonlySet<ListingContainer> {
  const exact = containers.filter(({ id, name }) => id === wanted || name === wanted);
  if (exact.length > 0 || wanted === '') return new Set(exact);
  return new Set(containers.filter(({ id }) => id.startsWith(wanted)));
}

function globsOf(glob: string): GlobTable {
  try {
    return compileGlobs([{ globs: [glob], accepts: MATCHES }], []);
  } catch (cause) {
    throw new BadQueryError(`--path: ${(cause as Error).message}`, { cause });
  }
}

/** Of a path whose head was cut only the tail is asked, as the filters do. */
function isMatch(globs: GlobTable, entry: OpenFileEntry): boolean {
  const row = (entry.flags & layout.PAIR_PATH_TRUNCATED) !== 0 ? globs.cutPathRow : 0;
  const { pathBytes } = entry;
  return acceptsOf(globs, row, pathBytes, 0, pathBytes.length) === MATCHES;
}

/** One entry in place. */
class OpenFileEntry {
  readonly #bytes: Buffer;
  readonly #at: number;
  readonly #record: number;
  readonly #redactor: Redactor | null;

  constructor(bytes: Buffer, at: number, redactor: Redactor | null) {
    this.#bytes = bytes;
    this.#at = at;
    this.#record = at + layout.OPEN_FILE_BYTES;
    this.#redactor = redactor;
  }

  get scope(): bigint {
    return this.u64(layout.PAIR_RECORD_SCOPE);
  }

  get hasMoreFds(): boolean {
    return this.#bytes.readUInt32LE(this.#at + layout.OPEN_FILE_IS_MANY) !== 0;
  }

  get isDeleted(): boolean {
    return this.#bytes.readUInt32LE(this.#at + layout.OPEN_FILE_IS_DELETED) !== 0;
  }

  get flags(): number {
    return this.#bytes.readUInt16LE(this.#record + layout.PAIR_RECORD_FLAGS);
  }

  /** A place holds a number of this open only if it has its generation. */
  get fds(): number[] {
    const generation = this.#bytes.readUInt32LE(this.#at + layout.OPEN_FILE_GENERATION);
    const fds: number[] = [];
    for (let index = 0; index < layout.OWNED_DESCRIPTORS; index += 1) {
      const place = this.#at + layout.OPEN_FILE_DESCRIPTORS + 8 * index;
      const fd = this.#bytes.readUInt32LE(place);
      if (fd !== NO_DESCRIPTOR && this.#bytes.readUInt32LE(place + 4) === generation) fds.push(fd);
    }
    return fds.sort((a, b) => a - b);
  }

  get executable(): Buffer {
    const begin = this.#record + layout.PAIR_RECORD_BYTES;
    return this.#bytes.subarray(begin, begin + this.#executableBytes);
  }

  /** As it may be told, without what fdspan adds to the path of an unlinked file. Valid until the next entry's. */
  get pathBytes(): Buffer {
    const begin = this.#record + layout.PAIR_RECORD_BYTES + this.#executableBytes;
    const bytes = this.#bytes.readUInt16LE(this.#record + layout.PAIR_RECORD_PATH_BYTES);
    const suffixBytes = (this.flags & layout.PAIR_DELETED) !== 0 ? DELETED_SUFFIX_BYTES : 0;
    const redactor = this.#redactor;
    if (redactor?.hide(this.#bytes, begin, begin + bytes, this.flags) === true)
      return redactor.path.subarray(0, redactor.bytes - suffixBytes);
    return this.#bytes.subarray(begin, begin + bytes - suffixBytes);
  }

  get #executableBytes(): number {
    return this.#bytes.readUInt16LE(this.#record + layout.PAIR_RECORD_EXECUTABLE_BYTES);
  }

  u32(field: number): number {
    return this.#bytes.readUInt32LE(this.#record + field);
  }

  u64(field: number): bigint {
    return this.#bytes.readBigUInt64LE(this.#record + field);
  }
}

function rowOf(
  entry: OpenFileEntry,
  container: ListingContainer | undefined,
  bootNs: bigint,
  unixNs: bigint,
): OpenFileRow {
  const openNs = bootNs - entry.u64(layout.PAIR_RECORD_OPENED_BOOT_NS);
  const openFlags = entry.u32(layout.PAIR_RECORD_OPEN_FLAGS);
  const device = entry.u32(layout.PAIR_RECORD_DEVICE);
  return {
    container: entry.scope === 0n ? '' : (container?.name ?? null),
    container_id: container?.id ?? null,
    pid: entry.u32(layout.PAIR_RECORD_PID),
    process: textOf(entry.executable),
    user_id: entry.u32(layout.PAIR_RECORD_USER_ID),
    fds: entry.fds,
    has_more_fds: entry.hasMoreFds,
    path: textOf(entry.pathBytes),
    access: ACCESSES[accessOf(openFlags)],
    opened: new Date(Number((unixNs - openNs) / NS_PER_MS)).toISOString(),
    open_ns: Number(openNs < 0n ? 0n : openNs),
    size: Number(entry.u64(layout.PAIR_RECORD_SIZE_BYTES)),
    inode: String(entry.u64(layout.PAIR_RECORD_INODE)),
    device: `${device >>> 20}:${device & 0xfffff}`,
    is_deleted: entry.isDeleted,
    is_adopted: (entry.flags & layout.PAIR_ADOPTED) !== 0,
  };
}

function textOf(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : textOfBytes(bytes.toString('latin1'));
}
