// Clocks that a test sets, in the form of clock_gettime(2).
import { CLOCK_REALTIME } from '../../src/ring/wall-clock.ts';

const SECOND_NS = 1_000_000_000n;

export class SetClocks {
  bootNs: bigint;
  wallNs: bigint;

  constructor({ bootNs, wallNs }: { readonly bootNs: bigint; readonly wallNs: bigint }) {
    this.bootNs = bootNs;
    this.wallNs = wallNs;
  }

  /** Time goes by on both. */
  pass(ns: bigint): void {
    this.bootNs += ns;
    this.wallNs += ns;
  }

  readonly read = (clock: number, time: Buffer): void => {
    const ns = clock === CLOCK_REALTIME ? this.wallNs : this.bootNs;
    time.writeBigInt64LE(ns / SECOND_NS, 0);
    time.writeBigInt64LE(ns % SECOND_NS, 8);
  };
}
