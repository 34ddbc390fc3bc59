// The table of live traces: typed arrays, chains by hash, and lists by the time that their roots are due.
import { accessOf } from '../model/access.ts';
import { mix } from '../model/mix.ts';
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import { DueLists } from './due-lists.ts';
import type { TraceCursor } from '../model/trace-cursor.ts';
import { isBefore } from '../model/word-time.ts';

export const OWN = 0;
/** Of files that outlived the slice they were opened in. */
export const LATE = 1;

/** Words of an entry. */
export const EXECUTION_LO = 0;
export const EXECUTION_HI = 1;
export const BEGUN_LO = 2;
export const BEGUN_HI = 3;
export const KIND = 4;
export const PART = 5;
export const RANDOM = 6;
export const SLOT = 7;
export const OFFSET_LO = 8;
export const OFFSET_HI = 9;
const STARTED_LO = 10;
const STARTED_HI = 11;
const ENDED_LO = 12;
const ENDED_HI = 13;
const PID = 14;
const VPID = 15;
const PARENT_PID = 16;
const USER_ID = 17;
const THRESHOLD = 18;
export const FILES = 19;
/** By O_ACCMODE; the fourth (neither, or O_PATH) is counted with no access. */
const BY_ACCESS = 20;
const FAILED = 24;
export const IS_TOLD = 25;
export const OPENS = 26;
export const UNSAMPLED = 27;
export const DROPPED = 28;
export const END_REASON = 29;
export const EXIT_CODE = 30;
const EXECUTABLE_BYTES = 31;
/** Reports of files that are still open, among FILES. */
const HELD = 32;
/** One of its spans claims no threshold. */
const IS_CUT = 33;
/** The four words of its id. */
export const TRACE = 34;
const WORDS = 38;

const NONE = -1;
/** Of a trace's texts: the executable's name, and what the main thread is called (zeros when another opened the first file). */
const COMM_AT = layout.EXECUTABLE_BYTES_MAX + 1;
const TEXT_BYTES = COMM_AT + layout.COMM_BYTES;

export class TraceTable {
  count = 0;
  private readonly tracesMax: number;
  private readonly words: Int32Array;
  private readonly texts: Uint8Array;
  private readonly heads: Int32Array;
  private readonly chain: Int32Array;
  private readonly isHashed: Uint8Array;
  readonly dues: DueLists;
  private free = 0;

  /** @param tracesMax a power of two; `waitMsMax`: how long after its begin a trace may be due. */
  constructor(tracesMax: number, waitMsMax: number) {
    this.tracesMax = tracesMax;
    this.words = new Int32Array(tracesMax * WORDS);
    this.texts = new Uint8Array(tracesMax * TEXT_BYTES);
    this.heads = new Int32Array(2 * tracesMax).fill(NONE);
    this.chain = new Int32Array(tracesMax);
    this.isHashed = new Uint8Array(tracesMax);
    this.dues = new DueLists(tracesMax, waitMsMax);
    for (let index = 0; index < tracesMax; index += 1) this.chain[index] = index + 1;
  }

  get isFull(): boolean {
    return this.count === this.tracesMax;
  }

  get(index: number, word: number): number {
    return this.words[index * WORDS + word];
  }

  set(index: number, word: number, value: number): void {
    this.words[index * WORDS + word] = value;
  }

  /** Returns the trace with that key, or -1. */
  find(executionLo: number, executionHi: number, begunLo: number, begunHi: number, kind: number): number {
    const { words, chain } = this;
    let index = this.heads[this.home(executionLo, begunLo, kind)];
    while (index !== NONE) {
      const at = index * WORDS;
      if (
        words[at] === executionLo &&
        words[at + BEGUN_LO] === begunLo &&
        words[at + EXECUTION_HI] === executionHi &&
        words[at + BEGUN_HI] === begunHi &&
        words[at + KIND] === kind
      )
        return index;
      index = chain[index];
    }
    return NONE;
  }

  /** Begins a trace with what its first pair tells; the caller has asked `isFull`. */
  take(cursor: RecordCursor, kind: number, dueMs: number): number {
    const { words } = this;
    const index = this.free;
    const at = index * WORDS;
    this.free = this.chain[index];
    this.count += 1;
    words.fill(0, at, at + WORDS);
    words[at] = cursor.i32(layout.PAIR_RECORD_EXECUTION);
    words[at + EXECUTION_HI] = cursor.i32(layout.PAIR_RECORD_EXECUTION + 4);
    words[at + BEGUN_LO] = cursor.i32(layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS);
    words[at + BEGUN_HI] = cursor.i32(layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS + 4);
    words[at + KIND] = kind;
    words[at + RANDOM] = cursor.i32(layout.PAIR_RECORD_RANDOM);
    words[at + STARTED_LO] = cursor.i32(layout.PAIR_RECORD_OPENED_BOOT_NS);
    words[at + STARTED_HI] = cursor.i32(layout.PAIR_RECORD_OPENED_BOOT_NS + 4);
    words[at + PID] = cursor.i32(layout.PAIR_RECORD_PID);
    words[at + VPID] = cursor.i32(layout.PAIR_RECORD_VPID);
    words[at + PARENT_PID] = cursor.i32(layout.PAIR_RECORD_PARENT_PID);
    words[at + USER_ID] = cursor.i32(layout.PAIR_RECORD_USER_ID);
    words[at + THRESHOLD] = cursor.threshold;
    words[at + EXECUTABLE_BYTES] = cursor.executableBytes;
    const to = index * TEXT_BYTES;
    for (let byte = 0; byte < cursor.executableBytes; byte += 1)
      this.texts[to + byte] = cursor.bytes[cursor.executableOffset + byte];
    const isMain = cursor.i32(layout.PAIR_RECORD_TID) === words[at + PID];
    for (let byte = 0; byte < layout.COMM_BYTES; byte += 1)
      this.texts[to + COMM_AT + byte] = isMain ? cursor.u8(layout.PAIR_RECORD_COMM + byte) : 0;
    const home = this.home(words[at], words[at + BEGUN_LO], kind);
    this.chain[index] = this.heads[home];
    this.heads[home] = index;
    this.isHashed[index] = 1;
    this.dues.add(index, dueMs);
    return index;
  }

  /** Counts a span, and makes the root long enough for it. */
  countSpan(index: number, cursor: RecordCursor): void {
    const { words } = this;
    const at = index * WORDS;
    const opened = layout.PAIR_RECORD_OPENED_BOOT_NS;
    const closed = layout.PAIR_RECORD_CLOSED_BOOT_NS;
    words[at + FILES] += 1;
    const access = Math.min(accessOf(cursor.i32(layout.PAIR_RECORD_OPEN_FLAGS)), layout.ACCESS_NONE);
    words[at + BY_ACCESS + access] += 1;
    const reason = cursor.u8(layout.PAIR_RECORD_REASON);
    if (reason === layout.CLOSE_FAILED) words[at + FAILED] += 1;
    if (reason === layout.CLOSE_HELD) words[at + HELD] += 1;
    if (cursor.threshold >>> 0 < words[at + THRESHOLD] >>> 0) words[at + THRESHOLD] = cursor.threshold;
    if (!cursor.hasThreshold) words[at + IS_CUT] = 1;
    const startedLo = cursor.i32(opened);
    const startedHi = cursor.i32(opened + 4);
    if (isBefore(startedLo, startedHi, words[at + STARTED_LO], words[at + STARTED_HI])) {
      words[at + STARTED_LO] = startedLo;
      words[at + STARTED_HI] = startedHi;
    }
    this.extend(index, cursor.i32(closed), cursor.i32(closed + 4));
  }

  /** Makes the root end no earlier than that. */
  extend(index: number, endedLo: number, endedHi: number): void {
    const { words } = this;
    const at = index * WORDS;
    if (!isBefore(words[at + ENDED_LO], words[at + ENDED_HI], endedLo, endedHi)) return;
    words[at + ENDED_LO] = endedLo;
    words[at + ENDED_HI] = endedHi;
  }

  /** The trace takes no more from `dueMs` on; a late one (0) takes none from now on. */
  end(index: number, dueMs: number): void {
    if (dueMs === 0) this.unhash(index);
    this.dues.remove(index);
    this.dues.add(index, dueMs);
  }

  /** Returns a trace of the slot, or -1. */
  ofSlot(slot: number): number {
    for (let index = this.dues.next(NONE); index !== NONE; index = this.dues.next(index))
      if (this.words[index * WORDS + SLOT] === slot) return index;
    return NONE;
  }

  /** Sets what a root tells. */
  fillRoot(index: number, root: TraceCursor): void {
    const { words } = this;
    const at = index * WORDS;
    root.slot = words[at + SLOT];
    root.isLate = words[at + KIND] === LATE;
    root.executionLo = words[at];
    root.executionHi = words[at + EXECUTION_HI];
    root.startedLo = words[at + STARTED_LO];
    root.startedHi = words[at + STARTED_HI];
    root.endedLo = words[at + ENDED_LO];
    root.endedHi = words[at + ENDED_HI];
    root.pid = words[at + PID];
    root.vpid = words[at + VPID];
    root.parentPid = words[at + PARENT_PID];
    root.userId = words[at + USER_ID];
    root.threshold = words[at + THRESHOLD];
    root.hasThreshold = words[at + IS_CUT] === 0 && words[at + DROPPED] === 0;
    root.files = words[at + FILES];
    root.readFiles = words[at + BY_ACCESS];
    root.writtenFiles = words[at + BY_ACCESS + 1];
    root.readWrittenFiles = words[at + BY_ACCESS + 2];
    root.failedFiles = words[at + FAILED];
    root.heldReports = words[at + HELD];
    root.isTold = words[at + IS_TOLD] === 1;
    root.opens = words[at + OPENS];
    root.unsampled = words[at + UNSAMPLED];
    root.dropped = words[at + DROPPED];
    root.endReason = words[at + END_REASON];
    root.exitCode = words[at + EXIT_CODE];
    root.executable = this.texts;
    root.executableOffset = index * TEXT_BYTES;
    root.executableBytes = words[at + EXECUTABLE_BYTES];
    root.commOffset = root.executableOffset + COMM_AT;
    root.commBytes = 0;
    while (root.commBytes < layout.COMM_BYTES && this.texts[root.commOffset + root.commBytes] !== 0)
      root.commBytes += 1;
  }

  remove(index: number): void {
    this.unhash(index);
    this.dues.remove(index);
    this.chain[index] = this.free;
    this.free = index;
    this.count -= 1;
  }

  private unhash(index: number): void {
    if (this.isHashed[index] === 0) return;
    const { words, chain, heads } = this;
    const at = index * WORDS;
    const home = this.home(words[at], words[at + BEGUN_LO], words[at + KIND]);
    this.isHashed[index] = 0;
    if (heads[home] === index) {
      heads[home] = chain[index];
      return;
    }
    let previous = heads[home];
    while (chain[previous] !== index) previous = chain[previous];
    chain[previous] = chain[index];
  }

  private home(executionLo: number, begunLo: number, kind: number): number {
    return mix(executionLo ^ kind, begunLo) & (2 * this.tracesMax - 1);
  }
}
