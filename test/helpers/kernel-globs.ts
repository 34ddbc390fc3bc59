// The kernel's own walk of the globs, over bytes that a test gives: bpf/filter-test.bpf.c, loaded and never attached.
import { BpfObject } from '../../src/bpf/bpf-object.ts';
import { addressOf } from '../../src/bpf/libbpf.ts';
import { LiveFilters, NOTHING_WANTED } from '../../src/bpf/live-filters.ts';
import type { GlobTable } from '../../src/model/glob-table.ts';
import * as layout from '../../src/model/record-layout.ts';

const OBJECT = new URL('../../bpf/build/filter-test.bpf.o', import.meta.url).pathname;
const PROGRAM = 'walk_text';
const SMALL_MAPS = { ring: 4096, starts: 1, buckets: 1, slots: 1, slices: 4 };

export class KernelGlobs {
  readonly #object = new BpfObject(OBJECT, null);
  readonly #filters: LiveFilters;

  constructor() {
    for (const [map, entries] of Object.entries(SMALL_MAPS)) this.#object.setMaxEntries(map, entries);
    this.#object.load([PROGRAM]);
    this.#filters = new LiveFilters(this.#object);
  }

  /** Puts a table into force: into the other half than the one before. */
  use(globs: GlobTable): void {
    this.#filters.begin({ ...NOTHING_WANTED, globs, globsAsked: layout.ASKED_PATH });
  }

  /** Returns the accept word of a text, put at `base` of a slot's tail or of a long record's. */
  accepts(text: Uint8Array, row: number, base: number, isLong: boolean): number {
    const given = Buffer.alloc(layout.WALK_ARGUMENTS_BYTES);
    const kept = Buffer.from(text.length === 0 ? [0] : text);
    given.writeBigUInt64LE(addressOf(kept), layout.WALK_ARGUMENTS_TEXT);
    given.writeUInt32LE(text.length, layout.WALK_ARGUMENTS_BYTES_COUNT);
    given.writeUInt32LE(base, layout.WALK_ARGUMENTS_BASE);
    given.writeUInt32LE(row, layout.WALK_ARGUMENTS_ROW);
    given.writeUInt32LE(isLong ? 1 : 0, layout.WALK_ARGUMENTS_IS_LONG);
    if (this.#object.run(PROGRAM, given) !== 0) throw new Error(`${text.length} bytes at ${base}: refused`);
    return given.readUInt32LE(layout.WALK_ARGUMENTS_ACCEPTS);
  }

  close(): void {
    this.#filters.close();
    this.#object.close();
  }
}
