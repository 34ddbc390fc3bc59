// The ids of spans: a counter, mixed with random bits of this run.
import { randomBytes } from 'node:crypto';
import { mix } from '../model/mix.ts';
import type { SpanArena } from './span-arena.ts';

export class SpanIds {
  private readonly seedLo = randomBytes(4).readInt32LE();
  private readonly seedHi = randomBytes(4).readInt32LE();
  private spanCount = 0;

  /** Writes a new id (8 bytes) at `at`. */
  patch(arena: SpanArena, at: number): void {
    this.spanCount += 1;
    const low = this.spanCount | 0;
    const high = Math.floor(this.spanCount / 0x100000000) | 0;
    arena.patchFixed32(at, mix(this.seedLo, low));
    arena.patchFixed32(at + 4, mix(this.seedHi ^ low, high) | 1);
  }
}
