// Counts of each container's slot, in one shared block: written by the pump, read by the main thread.

const SPANS = 0;
const FILTERED = 1;
const COUNTS = 2;

export interface SlotCount {
  readonly spans: number;
  /** Pairs that a filter left out. */
  readonly filtered: number;
}

/** Bytes of the block for slots 0…slotsMax - 1, as float64 (exact up to 2^53). */
export function slotCountBytes(slotsMax: number): number {
  return 8 * COUNTS * slotsMax;
}

export class SlotCounts {
  private readonly counts: Float64Array;

  constructor(block: SharedArrayBuffer) {
    this.counts = new Float64Array(block);
  }

  countSpan(slot: number): void {
    this.counts[slot * COUNTS + SPANS] += 1;
  }

  /** Of a scope without a slot, which is negative, nothing is counted. */
  countFiltered(slot: number, pairs: number): void {
    if (slot >= 0) this.counts[slot * COUNTS + FILTERED] += pairs;
  }

  /** Begins anew: another container gets the slot. */
  reset(slot: number): void {
    this.counts[slot * COUNTS + SPANS] = 0;
    this.counts[slot * COUNTS + FILTERED] = 0;
  }

  read(slot: number): SlotCount {
    return { spans: this.counts[slot * COUNTS + SPANS], filtered: this.counts[slot * COUNTS + FILTERED] };
  }
}
