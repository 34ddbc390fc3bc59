// Where the current record lies: one mutable object that the stages hand on, so that no record
// costs an allocation. It owns no memory; what it points at is valid until the next record.
import { milliseconds } from './word-time.ts';

export class RecordCursor {
  bytes = new Uint8Array(0);
  /** The same memory in 32-bit words; records start at multiples of 8 bytes. */
  words = new Uint32Array(0);
  /** First byte of the record in `bytes`, and its length without the ring's header. */
  offset = 0;
  length = 0;
  /** Set by decode for a pair: where its two strings lie, in `bytes` and in `path`. */
  executableOffset = 0;
  executableBytes = 0;
  /** The same memory as `bytes`, unless the path was redacted. */
  path = new Uint8Array(0);
  pathOffset = 0;
  pathBytes = 0;
  /**
   * Set by sampling for a pair that is kept: the highest 32 of th's 56 bits, as a signed number like `i32`, and whether
   * the span may claim them.
   */
  threshold = 0;
  hasThreshold = true;

  /** Returns the 8-bit field at `field` bytes from the record's start. */
  u8(field: number): number {
    return this.bytes[this.offset + field];
  }

  /** Returns the little-endian 16-bit field at `field` bytes from the record's start. */
  u16(field: number): number {
    return this.bytes[this.offset + field] | (this.bytes[this.offset + field + 1] << 8);
  }

  /** Returns the same word as a signed number: V8 allocates for a larger one that it hands to a function. */
  i32(field: number): number {
    return this.words[(this.offset + field) >>> 2] | 0;
  }

  /** Returns a 64-bit number of nanoseconds in milliseconds. */
  milliseconds(field: number): number {
    return milliseconds(this.i32(field), this.i32(field + 4));
  }

  /** Returns the 32-bit word at `field`, a multiple of 4; the high half of a 64-bit field is at `field + 4`. */
  u32(field: number): number {
    return this.words[(this.offset + field) >>> 2];
  }
}
