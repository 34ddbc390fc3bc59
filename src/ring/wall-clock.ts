// Wall time minus boot time, for the pump. Records carry boot times, which nobody steps and which go on in suspend; only
// what is sent is wall time. Nothing but the offset may depend on the wall clock: it jumps.

/** Writes a struct timespec of clock_gettime(2). */
export type ReadClock = (clock: number, time: Buffer) => void;

export const CLOCK_REALTIME = 0;
export const CLOCK_BOOTTIME = 7;

/** The wall clock is slewed by NTP, by 0.5 ms a second at most (adjtimex(2)). */
const MEASURE_EVERY_MS = 5000;
/** Reason: above what slewing does in that time, and below what a person notices in a trace. */
const STEP_MS = 10;
/** Reason: a thread that loses its processor between two looks measures its absence; four times in a row is rare. */
const TRIES = 4;
const WORD = 0x100000000;

export class WallClock {
  /** Wall time minus boot time in nanoseconds, as two signed words that add to a record's times. */
  offsetLo = 0;
  offsetHi = 0;
  private offsetMs = 0;
  private measuredBootMs = 0;
  private readonly readClock: ReadClock;
  private readonly time = Buffer.alloc(16);
  private readonly before = Buffer.alloc(16);
  private readonly wall = Buffer.alloc(16);
  private readonly after = Buffer.alloc(16);

  constructor(readClock: ReadClock) {
    this.readClock = readClock;
    this.measureNow(this.read(CLOCK_BOOTTIME));
  }

  /** Returns the boot time in milliseconds, and measures the offset when it is due or the wall clock was stepped. */
  turn(): number {
    const bootMs = this.read(CLOCK_BOOTTIME);
    const stepMs = this.read(CLOCK_REALTIME) - bootMs - this.offsetMs;
    const isDue = bootMs - this.measuredBootMs >= MEASURE_EVERY_MS;
    if (isDue || stepMs > STEP_MS || stepMs < -STEP_MS) this.measureNow(bootMs);
    return bootMs;
  }

  private read(clock: number): number {
    const { time } = this;
    this.readClock(clock, time);
    return (time.readUInt32LE(0) + WORD * time.readInt32LE(4)) * 1000 + time.readUInt32LE(8) / 1e6;
  }

  /* eslint-disable fdspan/hot-path -- from here on: every few seconds */

  /** Takes the boot time on both sides of the wall time, and of some tries the one that took least. */
  private measureNow(bootMs: number): void {
    const { readClock, before, wall, after } = this;
    let leastNs = -1n;
    let bestNs = 0n;
    for (let count = 0; count < TRIES; count += 1) {
      readClock(CLOCK_BOOTTIME, before);
      readClock(CLOCK_REALTIME, wall);
      readClock(CLOCK_BOOTTIME, after);
      const beganNs = nanoseconds(before);
      const tookNs = nanoseconds(after) - beganNs;
      if (leastNs >= 0n && tookNs >= leastNs) continue;
      leastNs = tookNs;
      bestNs = nanoseconds(wall) - beganNs - tookNs / 2n;
    }
    const offsetNs = BigInt.asUintN(64, bestNs);
    this.offsetLo = Number(offsetNs & 0xffffffffn) | 0;
    this.offsetHi = Number(offsetNs >> 32n) | 0;
    this.offsetMs = Number(bestNs) / 1e6;
    this.measuredBootMs = bootMs;
  }
}

function nanoseconds(time: Buffer): bigint {
  return time.readBigInt64LE(0) * 1_000_000_000n + time.readBigInt64LE(8);
}
