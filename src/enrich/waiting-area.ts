// Stage enrich: copies of the records whose scope the main thread has not judged yet, in arrival
// order. Bounded in records and in bytes; what doesn't fit is refused, and the caller counts it.
import type { RecordCursor } from '../model/record-cursor.ts';

/**
 * Bytes of waiting records: verdicts take milliseconds, so this is a second of a container that opens
 * 100,000 files/s with usual paths. Overflow: `unjudged_overflow`.
 */
export const WAITING_BYTES_MAX = 16 * 1024 * 1024;

/** Each copy has a header as in the ring: its length, padded to 8 bytes. */
const HEADER_BYTES = 8;
const INITIAL_BYTES = 64 * 1024;

export class WaitingArea {
  count = 0;
  private readonly recordsMax: number;
  private bytes = new Uint8Array(INITIAL_BYTES);
  private words = new Uint32Array(this.bytes.buffer);
  private usedBytes = 0;
  /** The walk of a replay: where it reads, and where the next record to keep goes. */
  private readAt = 0;
  private keepAt = 0;

  constructor(recordsMax: number) {
    this.recordsMax = recordsMax;
  }

  /** Copies the record under the cursor; false when the area is full. */
  add(cursor: RecordCursor): boolean {
    const takenBytes = HEADER_BYTES + ((cursor.length + 7) & ~7);
    if (this.count === this.recordsMax || this.usedBytes + takenBytes > WAITING_BYTES_MAX) return false;
    if (this.usedBytes + takenBytes > this.bytes.length) this.createLargerArea();
    const to = this.usedBytes + HEADER_BYTES;
    this.words[this.usedBytes >>> 2] = cursor.length;
    for (let index = 0; index < cursor.length; index += 1) {
      this.bytes[to + index] = cursor.bytes[cursor.offset + index];
    }
    this.usedBytes += takenBytes;
    this.count += 1;
    return true;
  }

  /** Starts a walk over all waiting records; nothing may be added before `endReplay`. */
  startReplay(): void {
    this.readAt = 0;
    this.keepAt = 0;
  }

  /** Puts the next waiting record under the cursor; the caller then takes or keeps it. */
  next(cursor: RecordCursor): boolean {
    if (this.readAt === this.usedBytes) return false;
    cursor.bytes = this.bytes;
    cursor.words = this.words;
    cursor.offset = this.readAt + HEADER_BYTES;
    cursor.length = this.words[this.readAt >>> 2];
    return true;
  }

  /** Removes the record that `next` gave. */
  take(): void {
    this.readAt += this.currentBytes();
    this.count -= 1;
  }

  /** Keeps the record that `next` gave waiting. */
  keep(): void {
    const recordBytes = this.currentBytes();
    if (this.keepAt !== this.readAt) {
      this.bytes.copyWithin(this.keepAt, this.readAt, this.readAt + recordBytes);
    }
    this.readAt += recordBytes;
    this.keepAt += recordBytes;
  }

  /** Ends the walk; records that it has not reached stay, in order. */
  endReplay(): void {
    if (this.keepAt !== this.readAt) this.bytes.copyWithin(this.keepAt, this.readAt, this.usedBytes);
    this.usedBytes -= this.readAt - this.keepAt;
  }

  private currentBytes(): number {
    return HEADER_BYTES + ((this.words[this.readAt >>> 2] + 7) & ~7);
  }

  /** Doubles the area (a record is far smaller than the first size). */
  private createLargerArea(): void {
    const larger = new Uint8Array(2 * this.bytes.length);
    larger.set(this.bytes);
    this.bytes = larger;
    this.words = new Uint32Array(larger.buffer);
  }
}
