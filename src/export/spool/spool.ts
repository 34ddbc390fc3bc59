// The spool: requests that memory can't hold, in segments on the disk, oldest first. Its calls are asynchronous and may
// throw what the file system says; who calls decides what happens to a request then.
import { crc32 } from 'node:zlib';
import { atMost } from '../../model/at-most.ts';
import type { SpanCounts } from '../../model/span-counts.ts';
import { BODY_BYTES_MAX, type RequestHead } from './request-format.ts';
import type { Segment, StoredRequest } from './segment.ts';
import { SegmentList } from './segment-list.ts';
import { isShortage, SpoolFullError, SpoolHangsError } from './spool-errors.ts';
import { SpoolWriter, type SpoolWriterHost } from './spool-writer.ts';
import { SpoolBusyError, SpoolFolder, type LockFile } from './spool-folder.ts';

/** Reason: a disk that wakes up takes less, and so do the files of a large spool; the start of the collector waits for it. */
const OPEN_MS = 5000;

const UNREAD_TEXT = 'a file of the spool can not be read; what is unread of it stays for the next start';
const DAMAGED_TEXT = 'a file of the spool is damaged; how many spans the damaged bytes held is not known';

export interface SpoolOptions {
  readonly dir: string;
  /** Of all segments; beyond, the oldest one goes. */
  readonly bytesMax: number;
  /** How long a start waits for the disk. */
  readonly openMs?: number | undefined;
}

/** What the spool tells; it knows no counters and no log. */
export interface SpoolListener {
  /** Spans of an earlier run were found; `torn`: of them, those whose request isn't whole. */
  recovered(found: SpanCounts, torn: SpanCounts): void;
  /** Waiting spans that were given up: the spool is full, or what was written can't be read. */
  lost(reason: 'queue_full' | 'spool_damaged', counts: SpanCounts): void;
  trouble(what: string, error: unknown): void;
  /** Requests may be there to be loaded that weren't before. */
  loadable(): void;
}

export interface LoadedRequest {
  readonly stored: StoredRequest;
  readonly body: Buffer;
}

export class Spool implements SpoolWriterHost {
  readonly bytesMax: number;
  readonly #folder: SpoolFolder;
  #listener: SpoolListener | null = null;
  readonly #segments = new SegmentList();
  readonly #writer: SpoolWriter;
  /** What an earlier run left and nobody has looked at yet. */
  readonly #unread: Segment[] = [];
  /** Loaded, and given back; they come first when requests are loaded again. */
  readonly #givenBack: StoredRequest[] = [];
  #recovering: Promise<void> | null = null;
  #claiming: Promise<void> | null = null;
  /** The folder is ours, and what was in it is known. */
  #isClaimed = false;
  /** Marks on their way to the disk. */
  readonly #marks = new Set<Promise<void>>();
  /** Why the folder could not be had at the start. */
  #openError: unknown = null;
  #isClosed = false;

  private constructor(options: SpoolOptions, lockFile: LockFile) {
    this.bytesMax = options.bytesMax;
    this.#folder = new SpoolFolder(options.dir, lockFile);
    this.#writer = new SpoolWriter(options.bytesMax, this.#folder, this.#segments, this);
  }

  /**
   * Takes the folder. Throws SpoolBusyError where another process has it; whatever else is wrong with it is told to the
   * listener, and tried again with each request: without its spool the collector goes on.
   */
  static async open(options: SpoolOptions, lockFile: LockFile): Promise<Spool> {
    const spool = new Spool(options, lockFile);
    const { openMs = OPEN_MS } = options;
    try {
      await atMost(openMs, spool.claim());
      if (!spool.#isClaimed) throw new SpoolHangsError('opening the folder', openMs);
    } catch (error) {
      if (error instanceof SpoolBusyError) throw error;
      spool.#openError = error;
    }
    return spool;
  }

  /** Begins to look for what an earlier run left. Called once, before all else. */
  begin(listener: SpoolListener): void {
    this.#listener = listener;
    if (this.#openError !== null) listener.trouble('the spool can not be used', this.#openError);
    this.#startRecovery();
  }

  get bytes(): number {
    return this.#writer.bytes;
  }

  /** Spans that wait on the disk and not in memory. */
  get waiting(): SpanCounts {
    return this.#segments.waiting;
  }

  /** Nothing waits on the disk, as far as is known. */
  get isEmpty(): boolean {
    return !this.isRecovering && this.#segments.firstWaiting === undefined;
  }

  /** What an earlier run left is being counted; nothing is loaded yet. */
  get isRecovering(): boolean {
    return this.#recovering !== null;
  }

  /** What is older than this belongs before all that waits. */
  get oldestSequence(): number {
    return this.#segments.firstWaiting?.firstSequence ?? -Infinity;
  }

  /** Stores a request behind all others, or before them (at a stop). One at a time. */
  async append(
    head: Omit<RequestHead, 'bodyBytes' | 'bodySum'>,
    body: Uint8Array,
    isBefore = false,
  ): Promise<void> {
    if (body.length > BODY_BYTES_MAX)
      throw new SpoolFullError(`a request of ${body.length} bytes is not stored`);
    if (!this.#isClaimed && !this.#isClosed) await this.claim();
    if (this.#isClosed) throw new SpoolFullError('the spool is closed');
    await this.#writer.append({ ...head, bodyBytes: body.length, bodySum: crc32(body) }, body, isBefore);
  }

  /**
   * Returns the oldest request that waits, checked; null when there is none. It is loaded until it is done or given back.
   * Throws where it can't be read now, but may be later.
   */
  async load(): Promise<LoadedRequest | null> {
    for (;;) {
      const stored = this.#nextGivenBack() ?? (await this.#next());
      if (stored === null) return null;
      const body = await stored.segment.bodyOf(stored).catch((error: unknown) => {
        if (isShortage(error)) {
          this.#keepInOrder(stored);
          throw error;
        }
        this.trouble('a stored request can not be read', error);
        return null;
      });
      // Given up meanwhile, and counted.
      if (stored.segment.isGone) continue;
      stored.segment.loaded(stored);
      if (body !== null) return { stored, body };
      this.#listener?.lost('spool_damaged', stored.head);
      this.done(stored);
    }
  }

  /** A loaded request has ended; a segment of which all have is deleted. */
  done(stored: StoredRequest): void {
    const mark = this.#mark(stored).finally(() => this.#marks.delete(mark));
    this.#marks.add(mark);
  }

  /** A loaded request waits on the disk again; false: its file is gone, and memory is its only place. */
  giveBack(stored: StoredRequest): boolean {
    if (stored.segment.isGone) return false;
    stored.segment.giveBack(stored);
    this.#keepInOrder(stored);
    return true;
  }

  /** A stop gives thousands back, oldest first: each has its place at the end, or near it. */
  #keepInOrder(stored: StoredRequest): void {
    let place = this.#givenBack.length;
    while (place > 0 && this.#givenBack[place - 1].head.sequence > stored.head.sequence) place -= 1;
    this.#givenBack.splice(place, 0, stored);
  }

  /** Puts all on the disk and gives the folder up; a disk that hangs isn't waited for longer than `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true;
    this.#writer.close();
    const endMs = performance.now() + timeoutMs;
    await atMost(timeoutMs, this.#settle());
    for (const segment of this.#segments.all) segment.abandon();
    await atMost(Math.max(0, endMs - performance.now()), this.#folder.release());
  }

  async #settle(): Promise<void> {
    await this.#recovering;
    await Promise.all(this.#marks);
    for (const segment of this.#segments.all) {
      await this.#writer.finish(segment).catch((error: unknown) => {
        this.trouble('the spool can not be put on the disk', error);
      });
    }
  }

  /** Takes the folder and finds what is in it; once, whoever asks for it meanwhile. */
  claim(): Promise<void> {
    this.#claiming ??= this.#claim().finally(() => (this.#claiming = null));
    return this.#claiming;
  }

  async #claim(): Promise<void> {
    this.#isClaimed = false;
    await this.#folder.claim();
    const listed = await this.#folder.segments();
    // The stop has not waited for it, and given back what it had.
    if (this.#isClosed) return this.#folder.release();
    const known = new Set(this.#segments.all.map(({ path }) => path));
    const found = listed.filter(({ path }) => !known.has(path));
    for (const segment of found) this.#unread.push(segment);
    this.#segments.add(found);
    this.#isClaimed = true;
    this.#startRecovery();
  }

  #startRecovery(): void {
    if (this.#unread.length === 0 || this.#listener === null) return;
    const recovery = Promise.resolve(this.#recovering)
      .then(() => this.#recover(this.#unread.splice(0)))
      .finally(() => {
        if (this.#recovering === recovery) this.#recovering = null;
        this.#listener?.loadable();
      });
    this.#recovering = recovery;
  }

  async #recover(segments: readonly Segment[]): Promise<void> {
    for (const segment of segments) {
      if (this.#isClosed) return;
      try {
        const damagedBytes = await segment.recover((found, torn) => this.#listener?.recovered(found, torn));
        if (damagedBytes > 0)
          this.trouble(DAMAGED_TEXT, new Error(`${damagedBytes} bytes of ${segment.path}`));
      } catch (error) {
        this.trouble(UNREAD_TEXT, error);
        // Somebody else took it away.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') this.#segments.remove(segment);
      }
      await this.#writer.finish(segment).catch(() => undefined);
    }
  }

  async #mark(stored: StoredRequest): Promise<void> {
    const { segment } = stored;
    await segment.done(stored).catch((error: unknown) => {
      this.trouble('a request that was sent can not be marked, and is sent again after a restart', error);
    });
    if (!segment.isDone) return;
    await this.#writer.remove(segment).catch((error: unknown) => {
      this.trouble('a file of which all was sent can not be deleted', error);
    });
  }

  async #next(): Promise<StoredRequest | null> {
    for (let segment = this.#segments.firstWaiting; segment !== undefined;) {
      try {
        const stored = await segment.next();
        if (stored !== null) return stored;
        if (this.#givenBack.length > 0) return this.#nextGivenBack();
      } catch (error) {
        if (isShortage(error)) throw error;
        this.trouble('a file of the spool can not be read', error);
      }
      if (segment.hasWaiting) this.#listener?.lost('spool_damaged', segment.giveUp());
      if (segment.isDone) await this.#writer.remove(segment).catch(() => undefined);
      segment = this.#segments.firstWaiting;
    }
    return null;
  }

  #nextGivenBack(): StoredRequest | null {
    for (let stored = this.#givenBack.shift(); stored !== undefined; stored = this.#givenBack.shift()) {
      if (!stored.segment.isGone) return stored;
    }
    return null;
  }

  /** Gives up what waits in a segment. */
  sacrificed(segment: Segment): void {
    if (segment.isUnread)
      this.trouble('a file that could not be read went to make room', new Error(segment.path));
    if (segment.hasWaiting) this.#listener?.lost('queue_full', segment.giveUp());
  }

  trouble(what: string, error: unknown): void {
    this.#listener?.trouble(what, error);
  }
}
