// Buffers for requests that wait uncompressed, used again and again: a new one for each request would be memory from
// outside of the heap, of which V8 collects garbage to get it back.
import { exactCopy } from './exact-copy.ts';

/** Reason: those in flight, and some that wait; 16 MiB at most. When none is free a new one is made. */
const FREE_MAX = 8;

/** Smaller requests are copied as they are: in a queue of thousands the rest of a larger buffer would be memory that no limit counts. */
const POOLED_BYTES_MIN = 512 * 1024;
/** Capacities are multiples of it, so that a buffer fits many requests and wastes less than half. */
const CAPACITY_STEP_BYTES = 256 * 1024;

export class BodyPool {
  readonly #free: Buffer[] = [];

  /** Returns a copy of the bytes. */
  copy(bytes: Uint8Array): Buffer {
    if (bytes.length < POOLED_BYTES_MIN) return exactCopy(bytes);
    const free = this.#free.findIndex(({ length }) => length === capacityFor(bytes.length));
    const buffer =
      free === -1 ? Buffer.allocUnsafeSlow(capacityFor(bytes.length)) : this.#free.splice(free, 1)[0];
    buffer.set(bytes);
    return buffer.subarray(0, bytes.length);
  }

  /** Takes a copy back that nobody reads any more; whatever else is given is left to the garbage collector. */
  giveBack(copy: Buffer): void {
    const { buffer } = copy;
    const isOwn =
      copy.length >= POOLED_BYTES_MIN &&
      copy.byteOffset === 0 &&
      buffer.byteLength === capacityFor(copy.length);
    if (!isOwn) return;
    if (this.#free.length === FREE_MAX) this.#free.shift();
    this.#free.push(Buffer.from(buffer));
  }
}

function capacityFor(bytes: number): number {
  return Math.ceil(bytes / CAPACITY_STEP_BYTES) * CAPACITY_STEP_BYTES;
}
