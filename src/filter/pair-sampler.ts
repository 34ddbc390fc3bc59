// Stage filter: the part of sampling that the kernel couldn't do. It decides for containers that weren't judged at the
// open, holds the hard limit, and says which threshold a span may claim.
import { counterIndex } from '../model/counters.ts';
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import { NEVER, SamplingWords } from '../model/sampling-words.ts';

export const KEEP = -1;

const UNSAMPLED_LATE = counterIndex('unsampled_late');
const RATE_LIMITED = counterIndex('rate_limited');
const EXECUTION = layout.PAIR_RECORD_EXECUTION;
const BEGUN = layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS;
/** Slices that met the limit and are remembered: 32 KiB. Where two meet, the earlier one is forgotten. */
const CUT_SLICES = 4096;
/** Seconds of the limit's rate that may come at once. */
const BURST_S = 1;

export class PairSampler {
  private readonly words: SamplingWords;
  private limit = 0;
  private tokens = 0;
  private filledMs = 0;
  private readonly cutLo = new Int32Array(CUT_SLICES);
  private readonly cutHi = new Int32Array(CUT_SLICES);
  private isAnyCut = false;

  constructor(block: SharedArrayBuffer) {
    this.words = SamplingWords.ofBlock(block);
  }

  /** Spans a second of the host; 0: no limit. */
  setLimit(perSecond: number): void {
    this.limit = perSecond;
    this.tokens = burstOf(perSecond);
  }

  /** Gives what may be sent since the last call; once a turn. */
  refill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.filledMs);
    this.filledMs = nowMs;
    this.tokens = Math.min(burstOf(this.limit), this.tokens + (this.limit * passedMs) / 1000);
  }

  /** Returns KEEP, or the index of the counter for this pair; the cursor then holds the threshold. */
  judge(cursor: RecordCursor, slot: number): number {
    const flags = cursor.u16(layout.PAIR_RECORD_FLAGS);
    cursor.threshold = cursor.i32(layout.PAIR_RECORD_THRESHOLD);
    cursor.hasThreshold = (flags & layout.PAIR_SLICE_CUT) === 0;
    if ((flags & layout.PAIR_UNJUDGED) !== 0) {
      const openFlags = cursor.i32(layout.PAIR_RECORD_OPEN_FLAGS);
      const threshold = this.words.thresholdOf(slot, openFlags, cursor.threshold, flags);
      if (threshold === NEVER || cursor.u32(layout.PAIR_RECORD_RANDOM) < threshold) return UNSAMPLED_LATE;
      cursor.threshold = threshold | 0;
    }
    if (this.limit > 0) {
      if (this.tokens < 1) {
        this.cut(cursor);
        return RATE_LIMITED;
      }
      this.tokens -= 1;
    }
    if (this.isAnyCut && this.isCut(cursor)) cursor.hasThreshold = false;
    return KEEP;
  }

  /** A pair was lost by no chance: the rest of its slice claims no threshold. */
  cut(cursor: RecordCursor): void {
    const place = cursor.u32(layout.PAIR_RECORD_RANDOM) & (CUT_SLICES - 1);
    this.cutLo[place] = cursor.i32(EXECUTION) ^ cursor.i32(BEGUN);
    this.cutHi[place] = cursor.i32(EXECUTION + 4) ^ cursor.i32(BEGUN + 4);
    this.isAnyCut = true;
  }

  private isCut(cursor: RecordCursor): boolean {
    const place = cursor.u32(layout.PAIR_RECORD_RANDOM) & (CUT_SLICES - 1);
    return (
      this.cutLo[place] === (cursor.i32(EXECUTION) ^ cursor.i32(BEGUN)) &&
      this.cutHi[place] === (cursor.i32(EXECUTION + 4) ^ cursor.i32(BEGUN + 4))
    );
  }
}

/** A span takes a whole token: less than one a second must be able to save for it. */
function burstOf(perSecond: number): number {
  return Math.max(1, perSecond * BURST_S);
}
