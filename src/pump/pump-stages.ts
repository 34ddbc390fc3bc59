// The stages as the pump's loop sees them; src/pump-worker.ts gives the real ones.
import type { ContainerUpdate } from '../model/container-slot.ts';
import type { FromPump, ToPump } from '../model/pump-messages.ts';
import type { TraceCursor } from '../model/trace-cursor.ts';
import type { Redaction } from '../model/redaction.ts';
import type { RecordCursor } from '../model/record-cursor.ts';

export interface PumpStages {
  readonly ring: {
    isDamaged: boolean;
    next(cursor: RecordCursor): boolean;
    release(): void;
    fillBytes(): number;
  };
  readonly waiter: { waitForRecords(timeoutMs: number): void; waitForMessages(timeoutMs: number): void };
  readonly clock: {
    readonly offsetLo: number;
    readonly offsetHi: number;
    /** Returns the boot time in milliseconds; may change the offset. */
    turn(): number;
  };
  readonly check: (cursor: RecordCursor) => number;
  readonly scopes: {
    find(lo: number, hi: number): number;
    set(lo: number, hi: number, state: number): boolean;
    remove(lo: number, hi: number): void;
  };
  readonly waiting: {
    readonly count: number;
    add(cursor: RecordCursor): boolean;
    startReplay(): void;
    next(cursor: RecordCursor): boolean;
    take(): void;
    keep(): void;
    endReplay(): void;
  };
  /** Hides what rules say of a pair's path; absent: nothing. */
  readonly redaction?: {
    redact(cursor: RecordCursor): void;
    change(redaction: Redaction | undefined): void;
  };
  readonly traces: {
    readonly isFull: boolean;
    readonly count: number;
    readonly evictedCount: number;
    readonly begunCount: number;
    readonly oldest: number;
    add(cursor: RecordCursor, slot: number, trace: TraceCursor, offsetLo: number, offsetHi: number): void;
    endSlice(cursor: RecordCursor): void;
    due(nowBootMs: number): number;
    ofSlot(slot: number): number;
    evict(index: number): void;
    take(index: number, root: TraceCursor): void;
  };
  readonly sampler: {
    setLimit(perSecond: number): void;
    refill(nowMs: number): void;
    judge(cursor: RecordCursor, slot: number): number;
    cut(cursor: RecordCursor): void;
  };
  readonly request: {
    readonly spanCount: number;
    readonly rootCount: number;
    readonly heldCount: number;
    readonly encoder: { readonly names: { reset(slot: number): void } };
    hasRoom(): boolean;
    add(cursor: RecordCursor, slot: number, trace: TraceCursor): boolean;
    addRoot(root: TraceCursor): void;
    update(update: ContainerUpdate): void;
  };
  /** Seals the open request into the buffer with this index and returns its bytes. */
  readonly sealInto: (index: number) => number;
  readonly receive: () => ToPump | undefined;
  readonly post: (message: FromPump) => void;
}
