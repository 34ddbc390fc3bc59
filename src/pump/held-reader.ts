// Reports of files that are still open, which are counted apart from the pairs.
import { counterIndex } from '../model/counters.ts';
import * as layout from '../model/record-layout.ts';
import type { RecordCursor } from '../model/record-cursor.ts';

const HELD_SPANS_READ = counterIndex('held_spans_read');
const HELD_SPANS_ENCODED = counterIndex('held_spans_encoded');
const HELD_SPANS_FILTERED = counterIndex('held_spans_filtered');

export class HeldReader {
  private readonly counters: Float64Array;
  private readonly slotOf: (lo: number, hi: number) => number;
  private readonly encode: (slot: number) => boolean;

  /** @param slotOf gives a scope's slot, negative where it has none yet; @param encode takes the current record. */
  constructor(
    counters: Float64Array,
    slotOf: (lo: number, hi: number) => number,
    encode: (slot: number) => boolean,
  ) {
    this.counters = counters;
    this.slotOf = slotOf;
    this.encode = encode;
  }

  /** Takes the record if it is a report. It waits for no verdict: another one follows, and the pair itself. */
  take(cursor: RecordCursor): boolean {
    if (cursor.u8(layout.PAIR_RECORD_REASON) !== layout.CLOSE_HELD) return false;
    const slot = this.slotOf(cursor.u32(layout.PAIR_RECORD_SCOPE), cursor.u32(layout.PAIR_RECORD_SCOPE + 4));
    this.counters[HELD_SPANS_READ] += 1;
    const isEncoded = slot >= 0 && this.encode(slot);
    this.counters[isEncoded ? HELD_SPANS_ENCODED : HELD_SPANS_FILTERED] += 1;
    return true;
  }
}
