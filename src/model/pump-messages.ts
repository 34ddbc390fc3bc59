// What the main thread and the pump tell each other. Plain data only: it crosses a worker boundary.
import type { Redaction } from './redaction.ts';
import type { ContainerUpdate, ScopeVerdict } from './container-slot.ts';

/** Main thread → pump. After each post the main thread writes to the pump's eventfd. */
export type ToPump =
  | { readonly type: 'container'; readonly update: ContainerUpdate }
  | { readonly type: 'container-gone'; readonly slot: number }
  | { readonly type: 'scope'; readonly verdict: ScopeVerdict }
  | { readonly type: 'scope-gone'; readonly scopeLo: number; readonly scopeHi: number }
  /** Spans a second of the host that are let through; 0: all. */
  | { readonly type: 'rate-limit'; readonly perSecond: number }
  /** Paths of the spans that are made from now on; undefined: they are told as they are. */
  | { readonly type: 'redaction'; readonly redaction: Redaction | undefined }
  /** The buffer with this index is free again. */
  | { readonly type: 'buffer'; readonly index: number }
  /** Drain until the ring is empty, seal all, answer `drained`, and go on. */
  | { readonly type: 'drain' }
  /** Drain, give up what still waits for a verdict (counted), seal, answer `stopped`, and end. */
  | { readonly type: 'stop' };

/** Pump → main thread. */
export type FromPump =
  | { readonly type: 'ready' }
  /**
   * One sealed ExportTraceServiceRequest: the first `bytes` of the buffer with this index. `spans` are those of pairs;
   * `processSpans`, the roots of traces, and `heldSpans`, reports of open files, are counted apart.
   */
  | {
      readonly type: 'request';
      readonly index: number;
      readonly bytes: number;
      readonly spans: number;
      readonly processSpans: number;
      readonly heldSpans: number;
      /** When the first file of it was closed, by the boot clock; 0: it has only roots. */
      readonly closedBootMs: number;
    }
  /** A record of the kernel about a scope, copied as it is (SCOPE_CREATED, _REMOVED or _DESCRIBED). */
  | { readonly type: 'scope-record'; readonly record: Uint8Array }
  /** A pair's scope that no verdict is known of; told once until a verdict arrives. */
  | { readonly type: 'scope-unknown'; readonly scopeLo: number; readonly scopeHi: number }
  | { readonly type: 'drained' }
  | { readonly type: 'stopped' }
  | { readonly type: 'failed'; readonly message: string; readonly stack: string };

/** What the pump's worker gets as its first message. Pointers are addresses in this process. */
export interface PumpOptions {
  readonly ringFd: number;
  /** Address of the consumer position's page (read and write). */
  readonly consumerAddress: bigint;
  /** Address of the producer position's page; the data follows, mapped twice in a row. */
  readonly producerAddress: bigint;
  readonly ringBytes: number;
  readonly eventFd: number;
  /** Shared counters: see model/counters.ts. */
  readonly counters: SharedArrayBuffer;
  /** Counts of each slot: see model/slot-counts.ts. */
  readonly slotCounts: SharedArrayBuffer;
  /** How to sample what the kernel couldn't: see model/sampling-words.ts. */
  readonly sampling: SharedArrayBuffer;
  /** Random 64 bits of this boot, hashed into trace ids; lo and hi. */
  readonly bootIdLo: number;
  readonly bootIdHi: number;
  readonly requestBytesMax: number;
  readonly requestSpansMax: number;
  readonly requestAgeMaxMs: number;
  /**
   * The requests' buffers, of requestBytesMax bytes. Shared, and named by index: one that is transferred counts as new
   * memory on each side, and makes both threads collect garbage.
   */
  readonly buffers: readonly SharedArrayBuffer[];
  readonly containersMax: number;
  readonly waitingRecordsMax: number;
  readonly attributes: 'lean' | 'standard' | 'full';
  /** Whether the kernel adds bytes and calls to the pairs. */
  readonly hasIoTotals?: boolean;
  readonly spanName: 'template' | 'operation';
  readonly spanNamesMax: number;
  readonly scopeVersion: string;
  /** Absent: paths are told as they are. */
  readonly redaction?: Redaction | undefined;
  readonly traceGroupBy: 'process' | 'container';
  readonly sliceMs: number;
  readonly sliceSpansMax: number;
}

/** A scope as messages name it. */
export function wordsOf(scope: bigint): { scopeLo: number; scopeHi: number } {
  return { scopeLo: Number(scope & 0xffff_ffffn), scopeHi: Number(scope >> 32n) };
}
