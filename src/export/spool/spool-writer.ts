// The writing side of the spool: which segment takes a request, which one goes for it, and when the disk itself has it.
import { aligned, storedBytes, type RequestHead } from './request-format.ts';
import type { SegmentList } from './segment-list.ts';
import type { Segment } from './segment.ts';
import { SpoolFullError } from './spool-errors.ts';
import type { SpoolFolder } from './spool-folder.ts';

/** Reason: a segment is deleted as a whole, so this is how much a few late requests can hold. */
const SEGMENT_BYTES_MAX = 16 << 20;
/** Parts of the spool that go one at a time when it is full. */
const SEGMENTS_MIN = 8;
const NUMBER_MAX = 0xffff_ffff;
/** What a power cut can cost; a kill costs nothing. */
const SYNC_EVERY_MS = 1000;

const NOT_ON_DISK = 'the spool can not be put on the disk';

function isReadOnly(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EROFS';
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** What the writer asks of the spool. */
export interface SpoolWriterHost {
  readonly isRecovering: boolean;
  /** Takes the folder again after it was removed. */
  claim(): Promise<void>;
  /** The spool is full: a segment goes with all that waits in it. */
  sacrificed(segment: Segment): void;
  trouble(what: string, error: unknown): void;
}

export class SpoolWriter {
  readonly #bytesMax: number;
  readonly #segmentBytesMax: number;
  readonly #folder: SpoolFolder;
  readonly #segments: SegmentList;
  readonly #host: SpoolWriterHost;
  /** The one that is written. */
  #active: Segment | null = null;
  /** Takes what is older than all others, at a stop. */
  #before: Segment | null = null;
  /** All of them is done, but the disk didn't let their files go. */
  readonly #undeleted = new Set<Segment>();
  #syncTimer: NodeJS.Timeout | null = null;

  constructor(bytesMax: number, folder: SpoolFolder, segments: SegmentList, host: SpoolWriterHost) {
    this.#bytesMax = bytesMax;
    this.#segmentBytesMax = Math.min(SEGMENT_BYTES_MAX, aligned(bytesMax / SEGMENTS_MIN));
    this.#folder = folder;
    this.#segments = segments;
    this.#host = host;
  }

  /** Of all files, also of those that can't be deleted. */
  get bytes(): number {
    return [...this.#undeleted].reduce((sum, { size }) => sum + size, this.#segments.bytes);
  }

  /** Writes a request behind all others, or before them. One at a time. */
  async append(head: RequestHead, body: Uint8Array, isBefore: boolean): Promise<void> {
    const bytes = storedBytes(body.length);
    await this.#deleteAgain(1);
    await this.#makeRoom(bytes, isBefore);
    let segment = await this.#segmentFor(bytes, isBefore);
    // One of which all is done may have been deleted just now.
    while (segment.isGone) segment = await this.#segmentFor(bytes, isBefore);
    await segment.append(head, body);
    this.#syncTimer ??= setTimeout(() => void this.#sync(), SYNC_EVERY_MS).unref();
  }

  /** Puts a segment on the disk, to which nothing is added any more; deletes it if all of it is done. */
  async finish(segment: Segment): Promise<void> {
    segment.isFinished = true;
    if (segment.isGone) return;
    if (segment.isDirty) await segment.sync();
    if (segment.isDone) await this.remove(segment);
    else await segment.close();
  }

  /** Deletes a segment; what was loaded from it stays valid. */
  async remove(segment: Segment): Promise<void> {
    this.#segments.remove(segment);
    if (this.#active === segment) this.#active = null;
    if (this.#before === segment) this.#before = null;
    if (segment.isGone) return;
    this.#undeleted.add(segment);
    await this.#delete(segment);
  }

  /** Writes nothing more. */
  close(): void {
    if (this.#syncTimer !== null) clearTimeout(this.#syncTimer);
  }

  async #delete(segment: Segment): Promise<void> {
    await segment.remove().catch(unlessMissing);
    this.#undeleted.delete(segment);
  }

  /** Tries to delete so many files once more that could not be; one that still can't be is the last to be tried again. */
  async #deleteAgain(files: number): Promise<void> {
    for (const segment of [...this.#undeleted].slice(0, files)) {
      await this.#delete(segment).catch(() => {
        this.#undeleted.delete(segment);
        this.#undeleted.add(segment);
      });
    }
  }

  /** Gives up the oldest segments until there is room. */
  async #makeRoom(bytes: number, isBefore: boolean): Promise<void> {
    const isRoom = (): boolean => this.bytes + bytes <= this.#bytesMax;
    if (isRoom()) return;
    await this.#deleteAgain(Infinity);
    // What is older than all others isn't worth more than they; while an earlier run's are counted, none goes.
    const mayGo = isBefore || this.#host.isRecovering ? [] : this.#oldest();
    let failure: Error | null = null;
    for (const segment of mayGo) {
      if (isRoom()) return;
      try {
        await this.#sacrifice(segment);
      } catch (error) {
        failure ??= error as Error;
        // No other file can be deleted either.
        if (isReadOnly(error)) break;
      }
    }
    if (isRoom()) return;
    if (failure !== null) throw failure;
    throw new SpoolFullError(`the spool holds ${this.bytes} bytes of ${this.#bytesMax}`);
  }

  /** The one that is written goes only where there is no other. */
  #oldest(): readonly Segment[] {
    const others = this.#segments.all.filter((segment) => segment !== this.#active);
    return others.length > 0 || this.#active === null ? others : [this.#active];
  }

  async #sacrifice(segment: Segment): Promise<void> {
    // Where it can't be deleted, nothing is gained by giving it up.
    await segment.unlink().catch(unlessMissing);
    this.#host.sacrificed(segment);
    await this.remove(segment);
  }

  async #segmentFor(bytes: number, isBefore: boolean): Promise<Segment> {
    const current = isBefore ? this.#before : this.#active;
    const isUsable = current !== null && !current.isFinished && !current.isGone;
    if (isUsable && (current.size === 0 || current.size + bytes <= this.#segmentBytesMax)) return current;
    const { numberBefore, numberBehind } = this.#segments;
    const number = !isBefore ? numberBehind : this.#before === null ? numberBefore : this.#before.number + 1;
    if (number < 0 || number > NUMBER_MAX)
      throw new SpoolFullError('the spool has no number for another file');
    const segment = await this.#create(number);
    this.#segments.add([segment]);
    if (isBefore) this.#before = segment;
    else this.#active = segment;
    if (current !== null)
      await this.finish(current).catch((error: unknown) => this.#host.trouble(NOT_ON_DISK, error));
    return segment;
  }

  /** A folder that was removed is made again. */
  async #create(number: number): Promise<Segment> {
    try {
      return await this.#folder.create(number);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await this.#host.claim();
      return await this.#folder.create(number);
    }
  }

  async #sync(): Promise<void> {
    this.#syncTimer = null;
    const segment = this.#active;
    if (segment === null || segment.isGone) return;
    try {
      if (!segment.isDirty || (await segment.sync())) return;
      this.#host.trouble("the spool's folder was removed; a new one is made", new Error(segment.path));
      segment.isFinished = true;
    } catch (error) {
      this.#host.trouble(NOT_ON_DISK, error);
    }
  }
}
