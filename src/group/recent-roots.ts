// Roots that were sent: a trace isn't opened again, and a root links to the one before. Direct-mapped, so bounded: a
// newer one takes an older one's place, whose links are then left out.
import { mix } from '../model/mix.ts';

/** Words of an entry: execution, begun, and the trace id. */
const WORDS = 8;

export class RecentRoots {
  private readonly mask: number;
  private readonly words: Int32Array;
  private at = 0;

  /** @param entries a power of two, 32 bytes each. */
  constructor(entries: number) {
    this.mask = entries - 1;
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
    const at = this.place(executionLo, begunLo);
    words[at] = executionLo;
    words[at + 1] = executionHi;
    words[at + 2] = begunLo;
    words[at + 3] = begunHi;
    words[at + 4] = trace0;
    words[at + 5] = trace1;
    words[at + 6] = trace2;
    words[at + 7] = trace3;
  }

  /** Finds a root; its trace id is then given by `trace`. */
  find(executionLo: number, executionHi: number, begunLo: number, begunHi: number): boolean {
    const { words } = this;
    const at = this.place(executionLo, begunLo);
    this.at = at;
    return (
      words[at] === executionLo &&
      words[at + 1] === executionHi &&
      words[at + 2] === begunLo &&
      words[at + 3] === begunHi
    );
  }

  /** Returns a word (0…3) of the trace id that `find` found. */
  trace(word: number): number {
    return this.words[this.at + 4 + word];
  }

  private place(executionLo: number, begunLo: number): number {
    return (mix(executionLo, begunLo) & this.mask) * WORDS;
  }
}
