// The ids of traces. The low 56 bits are the slice's randomness R, of which the kernel has drawn 32 (it compares them with
// the sampling threshold); the other 72 tell the traces of one slice apart.
import { mix } from '../model/mix.ts';
import type { TraceCursor } from '../model/trace-cursor.ts';

export class TraceIds {
  private readonly bootIdLo: number;
  private readonly bootIdHi: number;

  /** @param bootIdLo, bootIdHi 64 random bits of this run. */
  constructor(bootIdLo: number, bootIdHi: number) {
    this.bootIdLo = bootIdLo | 0;
    this.bootIdHi = bootIdHi | 0;
  }

  /**
   * Sets the trace's id. `part` is 0 for the slice's own trace, and a number that is used once for each trace of files
   * that outlived it.
   */
  set(
    trace: TraceCursor,
    executionLo: number,
    executionHi: number,
    begunLo: number,
    begunHi: number,
    random: number,
    part: number,
  ): void {
    const { bootIdLo, bootIdHi } = this;
    const rest = mix(mix(mix(mix(bootIdLo, begunHi), begunLo), executionHi), executionLo);
    const one = mix(mix(mix(mix(bootIdHi, executionLo), executionHi), begunLo), begunHi);
    trace.trace0 = mix(mix(one, part), rest);
    trace.trace1 = mix(mix(rest, part), one);
    const byte8 = mix(trace.trace0, trace.trace1) & 0xff;
    trace.trace2 =
      byte8 | ((random >>> 24) << 8) | (((random >>> 16) & 0xff) << 16) | (((random >>> 8) & 0xff) << 24);
    trace.trace3 = (random & 0xff) | (rest << 8);
  }
}
