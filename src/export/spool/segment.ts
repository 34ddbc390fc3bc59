// One file of the spool: requests one behind the other, written once, read in order, each marked when it is done.
import { unlink, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { NO_SPANS, spansWith, spansWithout, type SpanCounts } from '../../model/span-counts.ts';
import type { DiskTurns } from './disk-turns.ts';
import { SharedFile } from './shared-file.ts';
import { writeAll } from './write-all.ts';
import {
  ALIGNMENT_BYTES,
  encodeRequest,
  HEAD_BYTES,
  isDone,
  readHead,
  readTail,
  STATE_DONE,
  STATE_OFFSET,
  storedBytes,
  TAIL_BYTES,
  type RequestHead,
} from './request-format.ts';

/** Read at once while heads are looked for: many small requests, or the head of a large one. */
const WINDOW_BYTES = 64 * 1024;

/** Where a stored request lies. */
export interface StoredRequest {
  readonly segment: Segment;
  readonly offset: number;
  readonly head: RequestHead;
}

interface Found extends StoredRequest {
  /** From where to look for the next one. */
  readonly end: number;
  readonly isDone: boolean;
  /** The file ends within it. */
  readonly isTorn: boolean;
}

export class Segment {
  readonly path: string;
  readonly number: number;
  readonly #seed: number;
  readonly #file: SharedFile;
  /** The folder lost its name: once closed, it is gone. */
  #isNameless = false;
  #size: number;
  #readOffset = 0;
  #window = Buffer.alloc(0);
  #windowOffset = 0;
  #waiting: SpanCounts = NO_SPANS;
  #requestsWaiting = 0;
  #requestsLoaded = 0;
  #isWriting = false;
  #isGone = false;
  #isAbandoned = false;
  /** Not all of it could be read: it is left for the next start, unless its room is needed. */
  #isUnread = false;
  /** Nothing is added any more. */
  isFinished = true;
  /** Has a request that no datasync followed. */
  isDirty = false;
  /** The sequence of its first request; Infinity while it has none. */
  firstSequence = Infinity;

  /** `seed`: random, and part of the file's name: see request-format.ts. */
  constructor(path: string, number: number, seed: number, size: number, turns: DiskTurns) {
    this.path = path;
    this.#file = new SharedFile(path, turns);
    this.number = number;
    this.#seed = seed;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  /** The spans of the requests that wait here and not in memory. */
  get waiting(): SpanCounts {
    return this.#waiting;
  }

  get hasWaiting(): boolean {
    return this.#requestsWaiting > 0;
  }

  get isDone(): boolean {
    const isIdle = this.#requestsWaiting === 0 && this.#requestsLoaded === 0 && !this.#isWriting;
    return isIdle && !this.#isUnread;
  }

  /** Its file was deleted, and with it what waited. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Makes the file. Throws as open(2) does, also where something has the name already. */
  async create(): Promise<void> {
    await this.#file.create();
    this.isFinished = false;
  }

  /** Writes one request at the end; when it throws, the segment is as before, or finished where even that can't be had. */
  async append(head: RequestHead, body: Uint8Array): Promise<void> {
    this.#isWriting = true;
    try {
      await this.#file.use((file) => this.#append(file, head, body));
    } finally {
      this.#isWriting = false;
    }
  }

  /**
   * Reads all heads of a file of an earlier run. Tells of each request that isn't done whether all of it is there; returns
   * how many bytes are none of any request.
   */
  async recover(tell: (head: RequestHead, isTorn: boolean) => void): Promise<number> {
    let damagedBytes = this.#size;
    this.#isUnread = true;
    for (let found = await this.#find(0); found !== null; found = await this.#find(found.end)) {
      damagedBytes -= Math.min(found.end, this.#size) - found.offset;
      if (found.isDone) continue;
      tell(found.head, found.isTorn);
      if (found.isTorn) continue;
      if (this.#requestsWaiting === 0) this.#readOffset = found.offset;
      this.firstSequence = Math.min(this.firstSequence, found.head.sequence);
      this.#await(found.head);
    }
    this.#isUnread = false;
    return damagedBytes;
  }

  /** Returns the next request that waits, which goes on to wait; null when there is none. */
  async next(): Promise<StoredRequest | null> {
    while (this.#readOffset < this.#size && !this.#isGone) {
      const found = await this.#find(this.#readOffset);
      this.#readOffset = found?.end ?? this.#size;
      if (found !== null && !found.isDone && !found.isTorn) return found;
    }
    return null;
  }

  /** A request that waited is in memory now, until it is done or given back. */
  loaded({ head }: StoredRequest): void {
    this.#requestsWaiting -= 1;
    this.#requestsLoaded += 1;
    this.#waiting = spansWithout(this.#waiting, head);
  }

  /** Returns a request's body; null when it isn't what was written. */
  async bodyOf({ offset, head }: StoredRequest): Promise<Buffer | null> {
    const body = Buffer.allocUnsafeSlow(head.bodyBytes);
    const bytesRead = await this.#read(body, offset + HEAD_BYTES);
    return bytesRead === body.length && crc32(body) === head.bodySum ? body : null;
  }

  /** A loaded request is done: it is not looked at again, also after a restart. */
  async done({ offset }: StoredRequest): Promise<void> {
    this.#requestsLoaded -= 1;
    if (this.#isGone) return;
    await this.#file.use((file) => file.write(Uint8Array.of(STATE_DONE), 0, 1, offset + STATE_OFFSET));
  }

  /** A loaded request waits here again. */
  giveBack({ head }: StoredRequest): void {
    this.#requestsLoaded -= 1;
    this.#await(head);
  }

  /** Returns what waited and can't be had any more. */
  giveUp(): SpanCounts {
    const lost = this.#waiting;
    this.#waiting = NO_SPANS;
    this.#requestsWaiting = 0;
    this.#readOffset = this.#size;
    return lost;
  }

  /** Puts what was written on the disk itself; returns whether the file still has a name. */
  async sync(): Promise<boolean> {
    this.isDirty = false;
    const { nlink } = await this.#file.use(async (file) => {
      await file.datasync();
      return file.stat();
    });
    this.#isNameless = nlink === 0;
    return !this.#isNameless;
  }

  /** Closes the file when nobody uses it any more; it is opened again when it is needed. */
  async close(): Promise<void> {
    this.#window = Buffer.alloc(0);
    if (!this.#isNameless || this.#isGone) await this.#file.close();
  }

  /** Nobody waits for what is being written any more: it has been counted as lost, and the next start may find it. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  /** Removes the file's name; what waits can still be read. */
  async unlink(): Promise<void> {
    await this.#file.use(() => unlink(this.path));
  }

  /** Deletes the file. What was loaded from it stays valid. */
  async remove(): Promise<void> {
    this.#isGone = true;
    await this.close();
    await this.#file.remove();
  }

  #await(head: SpanCounts): void {
    this.#requestsWaiting += 1;
    this.#waiting = spansWith(this.#waiting, head);
  }

  async #append(file: FileHandle, head: RequestHead, body: Uint8Array): Promise<void> {
    const offset = this.#size;
    try {
      await writeAll(file, encodeRequest(head, body, this.#seed), offset);
    } catch (error) {
      this.isFinished = await file.truncate(offset).then(
        () => false,
        () => true,
      );
      throw error;
    }
    this.#size = offset + storedBytes(body.length);
    this.isDirty = true;
    this.firstSequence = Math.min(this.firstSequence, head.sequence);
    if (!this.#isAbandoned) this.#await(head);
  }

  #read(into: Buffer, position: number): Promise<number> {
    const read = async (file: FileHandle): Promise<number> =>
      (await file.read(into, 0, into.length, position)).bytesRead;
    return this.#file.use(read, true);
  }

  /** Returns the first request at or behind `from`: by its head, or where that is damaged by its tail. */
  async #find(from: number): Promise<Found | null> {
    for (let at = from; at < this.#size;) {
      const bytes = await this.#bytesAt(at);
      const isLast = this.#windowOffset + bytes.length >= this.#size;
      const end = isLast ? bytes.length : bytes.length - HEAD_BYTES + 1;
      for (
        let place = at - this.#windowOffset;
        place < end;
        place += ALIGNMENT_BYTES, at += ALIGNMENT_BYTES
      ) {
        const head = readHead(bytes, place, this.#seed);
        if (head !== null) return this.#foundByHead(head, at, bytes[place + STATE_OFFSET]);
        const tail = readTail(bytes, place, this.#seed);
        const offset = tail === null ? -1 : at + TAIL_BYTES - storedBytes(tail.bodyBytes);
        if (tail !== null && offset >= from) return this.#foundByTail(tail, offset);
      }
    }
    return null;
  }

  #foundByHead(head: RequestHead, offset: number, state: number): Found {
    const isTorn = offset + HEAD_BYTES + head.bodyBytes > this.#size;
    const end = isTorn ? this.#size : offset + storedBytes(head.bodyBytes);
    return { segment: this, offset, head, end, isTorn, isDone: isDone(state) };
  }

  async #foundByTail(head: RequestHead, offset: number): Promise<Found> {
    const state = Buffer.alloc(1);
    await this.#read(state, offset + STATE_OFFSET);
    const end = offset + storedBytes(head.bodyBytes);
    return { segment: this, offset, head, end, isTorn: false, isDone: isDone(state[0]) };
  }

  /** Returns the window, moved so that a whole head at `at` is in it, if the file has one there. */
  async #bytesAt(at: number): Promise<Buffer> {
    const end = this.#windowOffset + this.#window.length;
    const isInside = at >= this.#windowOffset && Math.min(at + HEAD_BYTES, this.#size) <= end;
    if (isInside) return this.#window;
    const window = Buffer.alloc(Math.min(WINDOW_BYTES, this.#size - at));
    const bytesRead = await this.#read(window, at);
    this.#windowOffset = at;
    // A file that someone made shorter reads as zeros.
    this.#window = window.fill(0, bytesRead);
    return this.#window;
  }
}
