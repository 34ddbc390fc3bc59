// The ids of a span: its trace is the execution of its process, its own id is a counter, mixed.
import { randomBytes } from 'node:crypto';
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import type { SpanArena } from './span-arena.ts';

const EXECUTION = layout.PAIR_RECORD_EXECUTION;

export class SpanIds {
  private readonly bootIdLo: number;
  private readonly bootIdHi: number;
  private readonly seedLo = randomBytes(4).readInt32LE();
  private readonly seedHi = randomBytes(4).readInt32LE();
  private spanCount = 0;
  /** The last execution and its trace id: most spans come from the same process as the one before. */
  private executionLo = 0;
  private executionHi = 0;
  private trace0 = 0;
  private trace1 = 0;
  private trace2 = 0;
  private trace3 = 0;

  /** @param bootIdLo, bootIdHi 64 random bits of this run, as two words. */
  constructor(bootIdLo: number, bootIdHi: number) {
    this.bootIdLo = bootIdLo | 0;
    this.bootIdHi = bootIdHi | 0;
  }

  /** Writes the trace id (16 bytes) and a new span id (8 bytes) of the pair under the cursor. */
  patch(arena: SpanArena, traceIdAt: number, spanIdAt: number, cursor: RecordCursor): void {
    const executionLo = cursor.i32(EXECUTION);
    const executionHi = cursor.i32(EXECUTION + 4);
    if (executionLo !== this.executionLo || executionHi !== this.executionHi)
      this.setExecution(executionLo, executionHi);
    arena.patchFixed32(traceIdAt, this.trace0);
    arena.patchFixed32(traceIdAt + 4, this.trace1);
    arena.patchFixed32(traceIdAt + 8, this.trace2);
    arena.patchFixed32(traceIdAt + 12, this.trace3);
    this.spanCount += 1;
    const low = this.spanCount | 0;
    const high = Math.floor(this.spanCount / 0x100000000) | 0;
    arena.patchFixed32(spanIdAt, mix(this.seedLo, low));
    arena.patchFixed32(spanIdAt + 4, mix(this.seedHi ^ low, high) | 1);
  }

  private setExecution(executionLo: number, executionHi: number): void {
    this.executionLo = executionLo;
    this.executionHi = executionHi;
    const a = mix(mix(this.bootIdLo, executionLo), executionHi);
    const b = mix(mix(this.bootIdHi ^ 0x5bd1e995, executionHi), executionLo);
    this.trace0 = mix(a, b);
    this.trace1 = mix(b, a ^ 0x27d4eb2f);
    this.trace2 = mix(a ^ 0x165667b1, b);
    this.trace3 = mix(b ^ 0x3c6ef372, a) | 1;
  }
}

/** One round of murmur3's mixing, finished. */
function mix(state: number, word: number): number {
  let hash = (Math.imul(state ^ word ^ (word >>> 16), 0x85ebca6b) + 0x9e3779b9) | 0;
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
