// Stage ring: walks a BPF ring buffer in place. Takes the shared memory, gives records under a cursor.
// A record's bytes belong to the kernel again after `release()`.
import type { RecordCursor } from '../model/record-cursor.ts';

/** Page size of the positions' pages; the data starts one page after the producer position. */
export const RING_PAGE_BYTES = 4096;

/**
 * Length word of a record's header (linux/bpf.h: BPF_RINGBUF_DISCARD_BIT, _HDR_SZ). Its sign is BPF_RINGBUF_BUSY_BIT.
 */
const DISCARD_BIT = 0x40000000;
const HEADER_BYTES = 8;

/** The memory of a ring: the consumer's page, and the producer's page followed by the data twice in a row. */
export interface RingMemory {
  readonly consumer: ArrayBuffer;
  readonly producer: ArrayBuffer;
  readonly ringBytes: number;
}

export class RingReader {
  /** True after the walk met a length that no kernel writes; what was left in the ring was skipped. */
  isDamaged = false;
  private readonly consumerPosition: BigUint64Array;
  private readonly producerPosition: Uint32Array;
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly words: Uint32Array<ArrayBuffer>;
  /** The same words: Atomics gives a number above 2^31 as an object. */
  private readonly headers: Int32Array<ArrayBuffer>;
  private readonly offsetMask: number;
  /** Low 32 bits of the position that the walk has reached; and how far that is past the released one. */
  private position: number;
  /** What of the ring behind `position` is known to be written: the producer's position is another core's memory. */
  private readableBytes = 0;
  private unreleasedBytes = 0;

  /** Starts at the consumer position that the memory holds. The memory must stay mapped while it is used. */
  constructor(memory: RingMemory) {
    const { ringBytes } = memory;
    if (ringBytes < RING_PAGE_BYTES || (ringBytes & (ringBytes - 1)) !== 0) {
      throw new RangeError(`ring of ${ringBytes} bytes: give a power of two from ${RING_PAGE_BYTES} on`);
    }
    this.consumerPosition = new BigUint64Array(memory.consumer, 0, 1);
    this.producerPosition = new Uint32Array(memory.producer, 0, 2);
    this.bytes = new Uint8Array(memory.producer, RING_PAGE_BYTES, 2 * ringBytes);
    this.words = new Uint32Array(memory.producer, RING_PAGE_BYTES, ringBytes / 2);
    this.headers = new Int32Array(memory.producer, RING_PAGE_BYTES, ringBytes / 2);
    this.offsetMask = ringBytes - 1;
    this.position = Number(BigInt.asUintN(32, Atomics.load(this.consumerPosition, 0)));
  }

  /** Puts the next finished record under the cursor; false when there is none yet. */
  next(cursor: RecordCursor): boolean {
    for (;;) {
      if (this.readableBytes === 0) this.readableBytes = this.fillBytes();
      const { readableBytes } = this;
      if (readableBytes === 0) return false;
      const offset = this.position & this.offsetMask;
      const header = Atomics.load(this.headers, offset >>> 2);
      if (header < 0) return false;
      const length = header & ~DISCARD_BIT;
      const takenBytes = (length + HEADER_BYTES + 7) & ~7;
      if (takenBytes > readableBytes || takenBytes > this.offsetMask + 1) {
        this.advance(readableBytes);
        this.isDamaged = true;
        return false;
      }
      this.advance(takenBytes);
      if ((header & DISCARD_BIT) !== 0) continue;
      cursor.bytes = this.bytes;
      cursor.words = this.words;
      cursor.offset = offset + HEADER_BYTES;
      cursor.length = length;
      return true;
    }
  }

  /** Gives the memory of all records walked so far back to the kernel; once per batch, as it costs a BigInt. */
  release(): void {
    if (this.unreleasedBytes === 0) return;
    // eslint-disable-next-line fdspan/hot-path -- once a batch: Atomics has no other 64-bit store
    const released = Atomics.load(this.consumerPosition, 0) + BigInt(this.unreleasedBytes);
    Atomics.store(this.consumerPosition, 0, released);
    this.unreleasedBytes = 0;
  }

  /** Returns how many bytes the kernel has written that were not walked yet. */
  fillBytes(): number {
    return (Atomics.load(this.producerPosition, 0) - this.position) >>> 0;
  }

  private advance(bytes: number): void {
    this.position = (this.position + bytes) >>> 0;
    this.unreleasedBytes += bytes;
    this.readableBytes -= bytes;
  }
}
