// Stage filter: which pairs become spans. Takes a checked pair, gives a verdict: KEEP, or the counter
// of the drop. Exclude beats include; an empty include list includes all.
import { counterIndex } from '../model/counters.ts';
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import {
  ACCEPTS_EXCLUDE,
  ACCEPTS_INCLUDE,
  compilePathAutomaton,
  type PathAutomaton,
} from './path-automaton.ts';

export const KEEP = -1;

const PATH_EXCLUDED = counterIndex('path_excluded');
const TOO_SHORT = counterIndex('too_short');

export interface PairFilterOptions {
  readonly excludeGlobs: readonly string[];
  readonly includeGlobs: readonly string[];
  readonly minDurationNs: number;
}

export class PairFilter {
  private readonly automaton: PathAutomaton;
  private readonly isPathAsked: boolean;
  private readonly isIncludeAsked: boolean;
  private readonly minDurationNs: number;

  /** Throws an Error that names the glob when one is wrong, or the limit when they are too many. */
  constructor(options: PairFilterOptions) {
    this.automaton = compilePathAutomaton(options.excludeGlobs, options.includeGlobs);
    this.isIncludeAsked = options.includeGlobs.length > 0;
    this.isPathAsked = this.isIncludeAsked || options.excludeGlobs.length > 0;
    this.minDurationNs = options.minDurationNs;
  }

  /** Returns KEEP, or the index of the counter for this pair. */
  judge(cursor: RecordCursor): number {
    if (this.minDurationNs > 0 && this.isTooShort(cursor)) return TOO_SHORT;
    if (!this.isPathAsked) return KEEP;
    const accepted = this.acceptedBy(cursor.bytes, cursor.pathOffset, cursor.pathOffset + cursor.pathBytes);
    if ((accepted & ACCEPTS_EXCLUDE) !== 0) return PATH_EXCLUDED;
    if (this.isIncludeAsked && (accepted & ACCEPTS_INCLUDE) === 0) return PATH_EXCLUDED;
    return KEEP;
  }

  /** A failed open held nothing, however short it was. */
  private isTooShort(cursor: RecordCursor): boolean {
    if (cursor.u8(layout.PAIR_RECORD_REASON) === layout.CLOSE_FAILED) return false;
    const lo = cursor.u32(layout.PAIR_RECORD_CLOSED_BOOT_NS) - cursor.u32(layout.PAIR_RECORD_OPENED_BOOT_NS);
    const hi =
      cursor.u32(layout.PAIR_RECORD_CLOSED_BOOT_NS + 4) - cursor.u32(layout.PAIR_RECORD_OPENED_BOOT_NS + 4);
    return hi * 0x100000000 + lo < this.minDurationNs;
  }

  private acceptedBy(bytes: Uint8Array, begin: number, end: number): number {
    const { classCount, classes, transitions, accepts } = this.automaton;
    let state = 0;
    for (let at = begin; at < end; at += 1) state = transitions[state * classCount + classes[bytes[at]]];
    return accepts[state];
  }
}
