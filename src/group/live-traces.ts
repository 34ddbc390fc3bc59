// Stage group: which trace a span belongs to, and when the trace's root is due. Takes a kept pair or what the kernel tells
// of a slice; gives ids by a cursor. A trace whose root was sent is never opened again.
import { TraceTable } from './trace-table.ts';
import * as field from './trace-table.ts';
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import { rootHigh, rootLow, type TraceCursor } from '../model/trace-cursor.ts';
import { milliseconds } from '../model/word-time.ts';
import { RecentRoots } from './recent-roots.ts';
import { TraceIds } from './trace-ids.ts';

/**
 * Reason: Tempo takes 10,000 live traces of a tenant by default. some 450 bytes each. Overflow: the oldest one's root is sent at
 * once, counted as `traces_evicted`.
 */
export const LIVE_TRACES_MAX = 8192;
/** How long after its slice a file may be closed and still be the slice's: the root waits for it. */
const GRACE_MS = 5000;
/** What a processor has timed, but not yet put into the ring, when its slice's end is read. */
const END_SLACK_MS = 250;
/** Reason: 36 bytes each; a file may be closed long after its slice, its trace then links to that slice's root. */
const SLICE_ROOTS = 65_536;
const LAST_ROOTS = 16_384;
const NONE = -1;

export interface GroupOptions {
  readonly bootIdLo: number;
  readonly bootIdHi: number;
  /** trace.window and trace.spans_max. */
  readonly sliceMs: number;
  readonly sliceSpansMax: number;
}

export class LiveTraces {
  /** Traces whose root was sent before its time, as the table was full. */
  evictedCount = 0;
  begunCount = 0;
  private readonly table: TraceTable;
  private readonly ids: TraceIds;
  private readonly sliceMs: number;
  private readonly spansMax: number;
  private readonly sliceRoots = new RecentRoots(SLICE_ROOTS);
  private readonly lastRoots = new RecentRoots(LAST_ROOTS);
  /** Slices that began until then and aren't live count as sent. */
  private evictedMs = 0;
  private parts = 0;

  constructor(options: GroupOptions) {
    this.ids = new TraceIds(options.bootIdLo, options.bootIdHi);
    this.sliceMs = options.sliceMs;
    this.table = new TraceTable(LIVE_TRACES_MAX, options.sliceMs + GRACE_MS);
    this.spansMax = options.sliceSpansMax;
  }

  /** Whether {@link add} may lack a place: the caller then sends the root of {@link oldest}. */
  get isFull(): boolean {
    return this.table.isFull;
  }

  get count(): number {
    return this.table.count;
  }

  /** Puts a pair into its trace, and sets the trace's ids. `offset` is wall minus boot time now. */
  add(cursor: RecordCursor, slot: number, trace: TraceCursor, offsetLo: number, offsetHi: number): void {
    const { table } = this;
    const executionLo = cursor.i32(layout.PAIR_RECORD_EXECUTION);
    const executionHi = cursor.i32(layout.PAIR_RECORD_EXECUTION + 4);
    const begunLo = cursor.i32(layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS);
    const begunHi = cursor.i32(layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS + 4);
    const isInTime = this.isInTime(cursor, begunLo, begunHi);
    let index = isInTime ? table.find(executionLo, executionHi, begunLo, begunHi, field.OWN) : NONE;
    if (index === NONE) {
      const isOwn = isInTime && this.isUnsent(executionLo, executionHi, begunLo, begunHi);
      const kind = isOwn ? field.OWN : field.LATE;
      if (!isOwn) index = table.find(executionLo, executionHi, begunLo, begunHi, kind);
      if (index === NONE) index = this.begin(cursor, slot, kind, trace, offsetLo, offsetHi);
    }
    this.setIds(index, trace);
    table.countSpan(index, cursor);
    if (table.get(index, field.KIND) === field.LATE && table.get(index, field.FILES) >= this.spansMax)
      table.end(index, 0);
  }

  /** Takes what the kernel tells of a slice that ended. */
  endSlice(cursor: RecordCursor): void {
    const { table } = this;
    const index = table.find(
      cursor.i32(layout.SLICE_RECORD_EXECUTION),
      cursor.i32(layout.SLICE_RECORD_EXECUTION + 4),
      cursor.i32(layout.SLICE_RECORD_BEGUN_BOOT_NS),
      cursor.i32(layout.SLICE_RECORD_BEGUN_BOOT_NS + 4),
      field.OWN,
    );
    // None of its files ended in time: what ends later has a trace of its own.
    if (index === NONE) return;
    const reason = cursor.u8(layout.SLICE_RECORD_REASON);
    table.set(index, field.IS_TOLD, 1);
    table.set(index, field.OPENS, cursor.i32(layout.SLICE_RECORD_OPENS));
    table.set(index, field.UNSAMPLED, cursor.i32(layout.SLICE_RECORD_UNSAMPLED));
    table.set(index, field.DROPPED, cursor.i32(layout.SLICE_RECORD_DROPPED));
    table.set(index, field.END_REASON, reason);
    if (reason !== layout.SLICE_EXEC && reason !== layout.SLICE_EXIT) return;
    const endedLo = cursor.i32(layout.SLICE_RECORD_ENDED_BOOT_NS);
    const endedHi = cursor.i32(layout.SLICE_RECORD_ENDED_BOOT_NS + 4);
    table.set(index, field.EXIT_CODE, cursor.i32(layout.SLICE_RECORD_EXIT_CODE));
    table.extend(index, endedLo, endedHi);
    table.end(index, milliseconds(endedLo, endedHi) + END_SLACK_MS);
  }

  /** Returns a trace whose root is due at that time of the boot clock, or -1. */
  due(nowBootMs: number): number {
    return this.table.dues.due(nowBootMs);
  }

  /** Returns the trace that is due first, or -1. */
  get oldest(): number {
    return this.table.dues.due(Infinity);
  }

  /** Returns a trace of a slot, or -1. */
  ofSlot(slot: number): number {
    return this.table.ofSlot(slot);
  }

  /** Notes that the next root goes out before its time. */
  evict(index: number): void {
    const { table } = this;
    this.evictedCount += 1;
    const begunMs = milliseconds(table.get(index, field.BEGUN_LO), table.get(index, field.BEGUN_HI));
    if (table.get(index, field.KIND) === field.OWN && begunMs > this.evictedMs) this.evictedMs = begunMs;
  }

  /** Fills the cursor with a trace's root, and forgets the trace. */
  take(index: number, root: TraceCursor): void {
    const { table, sliceRoots, lastRoots } = this;
    const executionLo = table.get(index, field.EXECUTION_LO);
    const executionHi = table.get(index, field.EXECUTION_HI);
    const begunLo = table.get(index, field.BEGUN_LO);
    const begunHi = table.get(index, field.BEGUN_HI);
    this.setIds(index, root);
    table.fillRoot(index, root);
    root.linkCount = 0;
    if (root.isLate && sliceRoots.find(executionLo, executionHi, begunLo, begunHi)) linkTo(root, sliceRoots);
    if (lastRoots.find(executionLo, executionHi, 0, 0)) linkTo(root, lastRoots);
    const { trace0, trace1, trace2, trace3 } = root;
    if (!root.isLate) this.remember(executionLo, executionHi, begunLo, begunHi, root);
    lastRoots.set(executionLo, executionHi, 0, 0, trace0, trace1, trace2, trace3);
    table.remove(index);
  }

  /** A root that is displaced while its slice may still have ends to come must not pass for one that wasn't sent. */
  private remember(
    executionLo: number,
    executionHi: number,
    begunLo: number,
    begunHi: number,
    { trace0, trace1, trace2, trace3 }: TraceCursor,
  ): void {
    const { sliceRoots } = this;
    sliceRoots.set(executionLo, executionHi, begunLo, begunHi, trace0, trace1, trace2, trace3);
    const displacedMs = milliseconds(sliceRoots.displacedLo, sliceRoots.displacedHi);
    const isRecent = milliseconds(begunLo, begunHi) - displacedMs <= this.sliceMs + GRACE_MS;
    if (displacedMs > 0 && isRecent && displacedMs > this.evictedMs) this.evictedMs = displacedMs;
  }

  /** Whether the file ended so early that its slice's root waits for it. */
  private isInTime(cursor: RecordCursor, begunLo: number, begunHi: number): boolean {
    const closedMs = cursor.milliseconds(layout.PAIR_RECORD_CLOSED_BOOT_NS);
    return closedMs - milliseconds(begunLo, begunHi) <= this.sliceMs + GRACE_MS;
  }

  /** Whether a slice that isn't live can still have a trace of its own. */
  private isUnsent(executionLo: number, executionHi: number, begunLo: number, begunHi: number): boolean {
    if (milliseconds(begunLo, begunHi) <= this.evictedMs) return false;
    return !this.sliceRoots.find(executionLo, executionHi, begunLo, begunHi);
  }

  private begin(
    cursor: RecordCursor,
    slot: number,
    kind: number,
    trace: TraceCursor,
    offsetLo: number,
    offsetHi: number,
  ): number {
    const isOwn = kind === field.OWN;
    const from = isOwn ? layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS : layout.PAIR_RECORD_CLOSED_BOOT_NS;
    const begunMs = cursor.milliseconds(from);
    if (!isOwn) this.parts = (this.parts + 1) | 0;
    this.begunCount += 1;
    const index = this.table.take(cursor, kind, begunMs + this.sliceMs + GRACE_MS);
    this.table.set(index, field.SLOT, slot);
    this.table.set(index, field.PART, isOwn ? 0 : this.parts);
    this.table.set(index, field.OFFSET_LO, offsetLo);
    this.table.set(index, field.OFFSET_HI, offsetHi);
    this.drawIds(index, trace);
    return index;
  }

  /** Once a trace: its id is asked for by each of its spans. */
  private drawIds(index: number, trace: TraceCursor): void {
    const { table } = this;
    this.ids.set(
      trace,
      table.get(index, field.EXECUTION_LO),
      table.get(index, field.EXECUTION_HI),
      table.get(index, field.BEGUN_LO),
      table.get(index, field.BEGUN_HI),
      table.get(index, field.RANDOM),
      table.get(index, field.PART),
    );
    table.set(index, field.TRACE, trace.trace0);
    table.set(index, field.TRACE + 1, trace.trace1);
    table.set(index, field.TRACE + 2, trace.trace2);
    table.set(index, field.TRACE + 3, trace.trace3);
  }

  private setIds(index: number, trace: TraceCursor): void {
    const { table } = this;
    trace.trace0 = table.get(index, field.TRACE);
    trace.trace1 = table.get(index, field.TRACE + 1);
    trace.trace2 = table.get(index, field.TRACE + 2);
    trace.trace3 = table.get(index, field.TRACE + 3);
    trace.rootLo = rootLow(trace.trace0, trace.trace1);
    trace.rootHi = rootHigh(trace.trace0, trace.trace1);
    trace.offsetLo = table.get(index, field.OFFSET_LO);
    trace.offsetHi = table.get(index, field.OFFSET_HI);
  }
}

/** A root doesn't link twice to the same one: the one before may be that of the late files' slice. */
function linkTo(root: TraceCursor, roots: RecentRoots): void {
  const { links } = root;
  if (root.linkCount > 0 && links[0] === roots.trace(0) && links[1] === roots.trace(1)) return;
  root.link(roots.trace(0), roots.trace(1), roots.trace(2), roots.trace(3));
}
