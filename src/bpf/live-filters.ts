// What the programs' filters ask, changed while they run: struct filters and struct live_settings of bpf/record.h.
import koffi from 'koffi';
import type { GlobTable } from '../model/glob-table.ts';
import * as layout from '../model/record-layout.ts';
import type { BpfObject } from './bpf-object.ts';
import { mapShared, unmap, waitForPrograms } from './libc.ts';

const PAGE_BYTES = 4096;
const ALL_ACCESSES = 0xff;

export interface UserRange {
  readonly first: number;
  readonly last: number;
}

export interface FilterOptions {
  /** errnos (positive) whose failed opens are told. */
  readonly failedErrnos: readonly number[];
  /** S_IFMT >> 12 of the wanted types. */
  readonly fileTypes: readonly number[];
  readonly excludedMagics: readonly number[];
  /** ACCESS_* of the wanted ones; empty: all. */
  readonly accesses: readonly number[];
  /** Wanted users; empty: all. */
  readonly users: readonly UserRange[];
  /** null: no globs. Its accept words hold bits of ACCEPTS_*. */
  readonly globs: GlobTable | null;
  /** ASKED_*: what of the globs is asked. */
  readonly globsAsked: number;
  readonly minDurationNs: bigint;
}

/** Everything of a container's is out of scope. */
export const NOTHING_WANTED: FilterOptions = {
  failedErrnos: [],
  fileTypes: [],
  excludedMagics: [],
  accesses: [],
  users: [],
  globs: null,
  globsAsked: 0,
  minDurationNs: 0n,
};

/**
 * Writes filters into the half that isn't in force, then turns to it by one store: each question that a
 * program asks is answered by the old filters or by the new ones.
 */
export class LiveFilters {
  readonly #object: BpfObject;
  readonly #address: bigint;
  readonly #minDuration: BigUint64Array;
  readonly #half: Uint32Array;

  #isClosed = false;

  constructor(object: BpfObject) {
    this.#object = object;
    this.#address = mapShared(object.mapFd('.data.live'), PAGE_BYTES, 0, true);
    const live = koffi.view(this.#address, PAGE_BYTES);
    this.#minDuration = new BigUint64Array(live, layout.LIVE_SETTINGS_MIN_DURATION_NS, 1);
    this.#half = new Uint32Array(live, layout.LIVE_SETTINGS_FILTER_HALF, 1);
  }

  /** Before the programs run; from then on {@link change}. */
  begin(options: FilterOptions): void {
    const next = Atomics.load(this.#half, 0) ^ 1;
    this.#object.updateArray('filters', next, encodeFilters(options));
    Atomics.store(this.#half, 0, next);
    Atomics.store(this.#minDuration, 0, options.minDurationNs);
  }

  /** One after the other. */
  async change(options: FilterOptions): Promise<void> {
    // A program that began before the last change may still read the half that is written now.
    await waitForPrograms();
    if (!this.#isClosed) this.begin(options);
  }

  close(): void {
    this.#isClosed = true;
    unmap(this.#address, PAGE_BYTES);
  }
}

function encodeFilters(options: FilterOptions): Uint8Array {
  const filters = Buffer.alloc(layout.FILTERS_BYTES);
  for (const errno of options.failedErrnos) setBit(filters, layout.FILTERS_FAILED_ERRNOS, errno);
  for (const type of options.fileTypes) setBit(filters, layout.FILTERS_FILE_TYPES, type);
  if (options.accesses.length === 0) filters.writeUInt32LE(ALL_ACCESSES, layout.FILTERS_ACCESS);
  for (const access of options.accesses) setBit(filters, layout.FILTERS_ACCESS, access);
  const magics = options.excludedMagics.slice(0, layout.EXCLUDED_MAGICS_MAX);
  magics.forEach((magic, index) => {
    filters.writeBigUInt64LE(BigInt(magic), layout.FILTERS_EXCLUDED_MAGICS + 8 * index);
  });
  filters.writeUInt32LE(magics.length, layout.FILTERS_EXCLUDED_MAGIC_COUNT);
  filters.writeBigUInt64LE(magicFilterOf(magics), layout.FILTERS_MAGIC_FILTER);
  const users = options.users.slice(0, layout.USER_RANGES_MAX);
  users.forEach(({ first, last }, index) => {
    filters.writeUInt32LE(first, layout.FILTERS_USERS + layout.USER_RANGE_BYTES * index + layout.USER_RANGE_FIRST);
    filters.writeUInt32LE(last, layout.FILTERS_USERS + layout.USER_RANGE_BYTES * index + layout.USER_RANGE_LAST);
  });
  filters.writeUInt32LE(users.length, layout.FILTERS_USER_RANGE_COUNT);
  if (options.globs !== null) writeGlobs(filters, options.globs, options.globsAsked);
  return filters;
}

function writeGlobs(filters: Buffer, globs: GlobTable, asked: number): void {
  const { classes, cells, acceptColumn, rulesColumn, nameRow, cutPathRow } = globs;
  if (cells.length > layout.GLOB_CELLS) throw new Error(`${cells.length} cells of globs`);
  filters.writeUInt32LE(asked, layout.FILTERS_ASKED);
  filters.writeUInt32LE(acceptColumn, layout.FILTERS_ACCEPT_COLUMN);
  filters.writeUInt32LE(rulesColumn, layout.FILTERS_RULES_COLUMN);
  filters.writeUInt32LE(nameRow, layout.FILTERS_NAME_ROW);
  filters.writeUInt32LE(cutPathRow, layout.FILTERS_CUT_PATH_ROW);
  filters.set(new Uint8Array(classes.buffer, classes.byteOffset, classes.byteLength), layout.FILTERS_CLASSES);
  filters.set(new Uint8Array(cells.buffer, cells.byteOffset, cells.byteLength), layout.FILTERS_CELLS);
}

/** A bit for each magic, by the programs' own hash: most file systems are told apart by it alone. */
function magicFilterOf(magics: readonly number[]): bigint {
  return magics.reduce((bits, magic) => {
    const bit = BigInt.asUintN(64, BigInt(magic) * layout.MAGIC_FACTOR) >> 58n;
    return bits | (1n << bit);
  }, 0n);
}

function setBit(bytes: Buffer, base: number, bit: number): void {
  bytes[base + (bit >> 3)] |= 1 << (bit & 7);
}
