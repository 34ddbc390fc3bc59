// Roots that were sent: a trace isn't opened again, and a root links to the one before. Sets of four, so bounded: a newer
// root takes the place of the set's oldest one, whose links are then left out.
import { mix } from '../model/mix.ts';

/** Words of an entry: execution, begun, the trace id, and the entry's number. */
const WORDS = 9;
const AGE = 8;
const WAYS = 4;

export class RecentRoots {
  /** Begin of the slice whose root the last `set` displaced, as two words; 0, 0: none. */
  displacedLo = 0;
  displacedHi = 0;
  private readonly mask: number;
  private readonly words: Int32Array;
  private at = 0;
  private count = 0;

  /** @param entries a power of two, 36 bytes each. */
  constructor(entries: number) {
    this.mask = entries / WAYS - 1;
    this.words = new Int32Array(entries * WORDS);
  }

  /** Remembers a root by execution and begin of the slice (0, 0: the execution's last one). */
  set(
    executionLo: number,
    executionHi: number,
    begunLo: number,
    begunHi: number,
    trace0: number,
    trace1: number,
    trace2: number,
    trace3: number,
  ): void {
    const { words } = this;
    const isThere = this.find(executionLo, executionHi, begunLo, begunHi);
    if (!isThere) this.at = this.oldestOf(executionLo, begunLo);
    const { at } = this;
    this.displacedLo = isThere ? 0 : words[at + 2];
    this.displacedHi = isThere ? 0 : words[at + 3];
    this.count = (this.count + 1) | 0;
    words[at] = executionLo;
    words[at + 1] = executionHi;
    words[at + 2] = begunLo;
    words[at + 3] = begunHi;
    words[at + 4] = trace0;
    words[at + 5] = trace1;
    words[at + 6] = trace2;
    words[at + 7] = trace3;
    words[at + AGE] = this.count;
  }

  /** Finds a root; its trace id is then given by `trace`. */
  find(executionLo: number, executionHi: number, begunLo: number, begunHi: number): boolean {
    const { words } = this;
    const first = this.setOf(executionLo, begunLo);
    for (let at = first; at < first + WAYS * WORDS; at += WORDS) {
      const isIt =
        words[at] === executionLo &&
        words[at + 1] === executionHi &&
        words[at + 2] === begunLo &&
        words[at + 3] === begunHi &&
        words[at + AGE] !== 0;
      if (!isIt) continue;
      this.at = at;
      return true;
    }
    return false;
  }

  /** Returns a word (0…3) of the trace id that `find` found. */
  trace(word: number): number {
    return this.words[this.at + 4 + word];
  }

  /** A free place, or the one that was set first; the count may wrap, so ages are compared by their distance. */
  private oldestOf(executionLo: number, begunLo: number): number {
    const { words } = this;
    const first = this.setOf(executionLo, begunLo);
    let oldest = first;
    for (let at = first; at < first + WAYS * WORDS; at += WORDS) {
      if (words[at + AGE] === 0) return at;
      if (((this.count - words[at + AGE]) | 0) > ((this.count - words[oldest + AGE]) | 0)) oldest = at;
    }
    return oldest;
  }

  private setOf(executionLo: number, begunLo: number): number {
    return (mix(executionLo, begunLo) & this.mask) * WAYS * WORDS;
  }
}
