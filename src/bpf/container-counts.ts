// The numbers of containers that the kernel counts (bpf/metrics.bpf.h): read in place by slot, without a system call,
// and taken from the table of those that had no verdict when they were counted. On the main thread.
import { COUNTS, FILES_MET, type Counts } from '../model/container-counts.ts';
import * as layout from '../model/record-layout.ts';
import type { BpfObject } from './bpf-object.ts';
import { libbpf, viewMemory } from './libbpf.ts';
import { mapShared, unmap } from './libc.ts';

const ARRAY = 'container_metrics';
const EARLY = 'early_metrics';
const SETTINGS = '.rodata.metrics';
const PASS = 'count_open_files';
const CLOSE = 'close_early';
const SCOPE_BYTES = 8;
const PAGE_BYTES = 4096;
const WORDS = layout.CONTAINER_METRICS_BYTES / 4;
/** Reason: some 16,000 open files at most between two turns of the event loop, 1 ms. */
const PASS_BUCKETS = 2048;

export interface MetricsOptions {
  /** Slots 0…slotsMax - 1; slot 0 is the host's. */
  readonly slotsMax: number;
  /** Of the histogram of durations, in ns: DURATION_BUCKETS - 1, growing; each belongs to the bucket below it. */
  readonly durationBoundsNs: readonly bigint[];
  /** errnos (positive) that are counted one by one, from class 1 on: FAILURE_CLASSES - 1 at most. */
  readonly failureErrnos: readonly number[];
}

/** Sizes the maps and writes the settings, before the load; undefined: nothing is counted. */
export function prepareMetrics(object: BpfObject, options: MetricsOptions | undefined, cpuCount: number): number {
  const settings = Buffer.alloc(layout.METRICS_SETTINGS_BYTES);
  let stripes = 1;
  while (stripes < Math.min(cpuCount, layout.METRICS_STRIPES)) stripes *= 2;
  settings.writeUInt32LE(stripes, layout.METRICS_SETTINGS_STRIPES);
  if (options !== undefined) {
    settings.writeUInt32LE(1, layout.METRICS_SETTINGS_IS_ON);
    const bounds = [...options.durationBoundsNs, 0xffff_ffff_ffff_ffffn].slice(0, layout.DURATION_BUCKETS);
    bounds.forEach((bound, index) =>
      settings.writeBigUInt64LE(bound, layout.METRICS_SETTINGS_DURATION_BOUNDS + 8 * index),
    );
    options.failureErrnos
      .slice(0, layout.FAILURE_CLASSES - 1)
      .forEach((errno, index) =>
        settings.writeUInt8(index + 1, layout.METRICS_SETTINGS_FAILURE_CLASSES + errno),
      );
    object.setMaxEntries(ARRAY, options.slotsMax * stripes);
  }
  object.setInitialValue(SETTINGS, settings);
  return stripes;
}

/** An entry of the unjudged that is closed, and where what was counted there belongs. */
interface TakenEntry {
  readonly scope: bigint;
  readonly counts: Counts | null;
  readonly words: Uint32Array;
}

export class ContainerCounts {
  readonly #object: BpfObject;
  /** Closed since the last call of {@link removeTaken}, and before it. */
  #taken: TakenEntry[] = [];
  #takenBefore: TakenEntry[] = [];
  readonly #stripes: number;
  readonly #buckets: number;
  readonly #address: bigint;
  readonly #bytes: number;
  readonly #words: Uint32Array;

  /** `object` is loaded; `buckets` are those of the table of pending opens. */
  constructor(object: BpfObject, slotsMax: number, stripes: number, buckets: number) {
    this.#object = object;
    this.#stripes = stripes;
    this.#buckets = buckets;
    const used = slotsMax * stripes * layout.CONTAINER_METRICS_BYTES;
    this.#bytes = Math.ceil(used / PAGE_BYTES) * PAGE_BYTES;
    this.#address = mapShared(object.mapFd(ARRAY), this.#bytes, 0, false);
    this.#words = new Uint32Array(viewMemory(this.#address, this.#bytes));
  }

  /** Adds what the slot has counted since fdspan started; the slot may have had other containers. */
  addTo(counts: Counts, slot: number): void {
    for (let stripe = 0; stripe < this.#stripes; stripe += 1) {
      addWords(counts, this.#words, (slot * this.#stripes + stripe) * WORDS);
    }
  }

  /** The scopes that are in the table of the unjudged, without those that were taken. */
  earlyScopes(): bigint[] {
    const fd = this.#object.mapFd(EARLY);
    const taken = new Set([...this.#taken, ...this.#takenBefore].map(({ scope }) => scope));
    const scopes: bigint[] = [];
    let key: Buffer | null = null;
    // Bounded: where an entry is removed meanwhile, the kernel begins anew.
    for (let turn = 0; turn < layout.EARLY_METRICS; turn += 1) {
      const next = Buffer.alloc(SCOPE_BYTES);
      if (libbpf().mapNextKey(fd, key, next) !== 0) break;
      if (!taken.has(next.readBigUInt64LE())) scopes.push(next.readBigUInt64LE());
      key = next;
    }
    return scopes;
  }

  /**
   * Adds what was counted for the scope before its verdict. The entry is closed, so that nothing new is counted there, and
   * removed by {@link removeTaken}.
   */
  takeEarly(scope: bigint, counts: Counts | null): void {
    // It stays in the map until it is removed: what it held has been added.
    if (this.#isTaken(scope)) return;
    const closed = Buffer.alloc(layout.CLOSE_ARGUMENTS_BYTES);
    closed.writeBigUInt64LE(scope, layout.CLOSE_ARGUMENTS_SCOPE);
    this.#object.run(CLOSE, closed);
    const words = this.#readEarly(scope);
    if (words === null) return;
    if (counts !== null) addWords(counts, words, 0);
    this.#taken.push({ scope, counts, words });
  }

  /**
   * Once a second: removes what was taken a second ago or longer. A removed entry is another scope's at once; by then no
   * program runs any more that found it open, and what such a one still counted is added.
   */
  removeTaken(): void {
    const key = Buffer.alloc(SCOPE_BYTES);
    for (const { scope, counts, words } of this.#takenBefore) {
      const last = this.#readEarly(scope);
      key.writeBigUInt64LE(scope);
      libbpf().mapDelete(this.#object.mapFd(EARLY), key);
      if (counts === null || last === null) continue;
      addWords(counts, last, 0);
      addWords(counts, words, 0, -1);
    }
    this.#takenBefore = this.#taken;
    this.#taken = [];
  }

  #isTaken(scope: bigint): boolean {
    return [...this.#taken, ...this.#takenBefore].some((entry) => entry.scope === scope);
  }

  #readEarly(scope: bigint): Uint32Array | null {
    const key = Buffer.alloc(SCOPE_BYTES);
    key.writeBigUInt64LE(scope);
    const words = new Uint32Array(WORDS);
    const isThere = libbpf().mapLookup(this.#object.mapFd(EARLY), key, new Uint8Array(words.buffer)) === 0;
    return isThere ? words : null;
  }

  /** Passes over the table of pending opens; each file that is open adds one to its slot's {@link filesMet}. */
  async countOpenFiles(): Promise<void> {
    const portion = Buffer.alloc(layout.BUCKETS_ARGUMENTS_BYTES);
    portion.writeUInt32LE(PASS_BUCKETS, layout.BUCKETS_ARGUMENTS_COUNT);
    for (let first = 0; first < this.#buckets; first += PASS_BUCKETS) {
      portion.writeUInt32LE(first, layout.BUCKETS_ARGUMENTS_FIRST);
      this.#object.run(PASS, portion);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  filesMet(slot: number): number {
    let files = 0;
    for (let stripe = 0; stripe < this.#stripes; stripe += 1) {
      const word = (slot * this.#stripes + stripe) * WORDS + 2 * FILES_MET;
      files += this.#words[word] + this.#words[word + 1] * 2 ** 32;
    }
    return files;
  }

  close(): void {
    unmap(this.#address, this.#bytes);
  }
}

function addWords(counts: Counts, words: Uint32Array, first: number, times = 1): void {
  for (let index = 0; index < COUNTS; index += 1) {
    counts[index] += times * (words[first + 2 * index] + words[first + 2 * index + 1] * 2 ** 32);
  }
}
