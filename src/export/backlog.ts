// What waits for the backend: the oldest requests in memory, and behind them, where there is a spool, the newer ones on
// the disk. A disk that fails or is slow costs requests as if there were no spool, and never more memory.
import { atMost } from '../model/at-most.ts';
import type { SpanCounts } from '../model/span-counts.ts';
import { compress, type Encoding } from './encoding.ts';
import { FRESH, RequestQueue, type WaitingRequest } from './request-queue.ts';
import { SpoolHangsError } from './spool/spool-errors.ts';
import type { Spool } from './spool/spool.ts';

/** The part of the queue's bytes that waits for the backend or is under way; the rest is for what is on its way to the disk. */
const MEMORY_SHARE = 3 / 4;
/** Below this part of the queue's bytes the spool is read. */
const LOAD_SHARE = 3 / 8;
/** After a failure: a full disk is asked again, but not for each request. */
const AGAIN_MS = 5000;

/** Reason: a disk that works takes a request in less. What waits for one that hangs is better sent, or dropped by its age. */
const HUNG_AFTER_MS = 5000;

/** Reason: 32 MiB take less on any disk that works, and a stop must end. Once for writing, once for closing. */
const AT_STOP_MS = 2000;

export interface BacklogListener {
  /** There was no room for it. */
  dropped(request: SpanCounts): void;
  /** There may be something to send, or nothing left to wait for. */
  changed(): void;
  /** Requests stay in memory since the spool takes none. */
  writeFailed(error: unknown): void;
  /** Nobody reads the body of a request any more that is on the disk now. */
  stored(body: Buffer, encoding: Encoding): void;
}

export class Backlog {
  readonly #bytesMax: number;
  readonly #queue: RequestQueue;
  readonly #spool: Spool | null;
  readonly #listener: BacklogListener;
  /** On their way to the disk, oldest first. */
  readonly #writing = new Set<WaitingRequest>();
  #writingBytes = 0;
  #writingSpans = 0;
  /** Being sent, with the bytes that come back when that fails: room is kept for them. */
  readonly #taken = new Map<WaitingRequest, number>();
  #takenBytes = 0;
  #writes: Promise<void> | null = null;
  /** A request has been on its way to the disk for too long, and still is. */
  #isHung = false;
  #writeAgainMs = 0;
  #readAgainMs = 0;
  #isLoading = false;
  #isLoadable = true;

  /** `bytesMax` bounds what memory holds; 0: no limit, and nothing is spilled. */
  constructor(bytesMax: number, spool: Spool | null, listener: BacklogListener) {
    this.#bytesMax = bytesMax;
    this.#queue = new RequestQueue(bytesMax);
    this.#spool = spool;
    this.#listener = listener;
  }

  /** Spans in memory. */
  get spans(): number {
    return this.#queue.spans + this.#writingSpans;
  }

  get bytes(): number {
    return this.#queue.bytes + this.#writingBytes;
  }

  /** Requests in memory. */
  get length(): number {
    return this.#queue.length + this.#writing.size;
  }

  /** Whether it takes half a queue more without losing a request. */
  get hasRoom(): boolean {
    const bytes = this.#isSpoolUsable ? this.#writingBytes * 4 : this.bytes;
    return this.#bytesMax === 0 || bytes <= this.#bytesMax / 2;
  }

  /** Takes a request: to be sent, sent again, or written behind those that wait on the disk. */
  add(request: WaitingRequest): void {
    this.#isBack(request);
    if (!this.#isToSpill(request)) return this.#queueUp(request);
    const bytes = request.body.length;
    if (this.#writingBytes + bytes > this.#bytesMax) return this.#listener.dropped(request);
    this.#writing.add(request);
    this.#writingBytes += bytes;
    this.#writingSpans += request.spans;
    this.#giveUp(this.#queue.shed(this.#writingBytes));
    this.#writes ??= this.#writeAll();
  }

  /** See RequestQueue.take. */
  take(nowMs: number, prefersFresh: boolean): WaitingRequest | null {
    const request = this.#queue.take(nowMs, prefersFresh);
    if (request !== null) {
      this.#taken.set(request, request.body.length);
      this.#takenBytes += request.body.length;
    }
    this.load();
    return request;
  }

  nextReadyMs(): number {
    return this.#queue.nextReadyMs();
  }

  /** For a stop: failed requests are sent at once, and what is on the disk stays there. */
  hurry(): void {
    this.#isLoadable = false;
    this.#queue.hurry();
  }

  /** A request has ended, one way or the other. */
  settled(request: WaitingRequest): void {
    this.#isBack(request);
    if (request.stored !== null) this.#spool?.done(request.stored);
  }

  /** Reads the spool while memory has room. */
  load(): void {
    if (this.#spool !== null && !this.#isLoading && this.#wantsMore(this.#spool)) {
      this.#isLoading = true;
      void this.#loadFrom(this.#spool).finally(() => (this.#isLoading = false));
    }
  }

  /** Empties the queue and returns what was in it; what is being written isn't. */
  clear(): readonly WaitingRequest[] {
    this.#isLoadable = false;
    return this.#queue.clear();
  }

  /** Stores requests on the disk for the next start, as many as the time allows, and closes the spool; returns the others, also those whose writing hangs. */
  async keep(requests: readonly WaitingRequest[]): Promise<readonly WaitingRequest[]> {
    const left = new Set(requests);
    if (this.#spool === null) return [...left];
    const stopped = new AbortController();
    const kept = this.#keepAll(this.#spool, left, stopped.signal).catch((error: unknown) =>
      this.#listener.writeFailed(error),
    );
    await atMost(AT_STOP_MS, kept);
    stopped.abort();
    await this.#spool.close(AT_STOP_MS);
    for (const request of [...this.#writing]) {
      left.add(request);
      this.#leaveWriting(request);
    }
    return [...left, ...this.clear()];
  }

  get #isSpoolUsable(): boolean {
    return this.#spool !== null && !this.#isHung && performance.now() >= this.#writeAgainMs;
  }

  #isToSpill({ attempts, stored, body }: WaitingRequest): boolean {
    if (attempts > 0 || stored !== null || this.#bytesMax === 0 || !this.#isSpoolUsable) return false;
    const isBehind = this.#writing.size > 0 || this.#spool?.isEmpty === false;
    return isBehind || this.#queue.bytes + this.#takenBytes + body.length > this.#bytesMax * MEMORY_SHARE;
  }

  #isBack(request: WaitingRequest): void {
    this.#takenBytes -= this.#taken.get(request) ?? 0;
    this.#taken.delete(request);
  }

  #queueUp(request: WaitingRequest): void {
    this.#giveUp(this.#queue.add(request, this.#writingBytes));
  }

  /** What is on the disk goes back there, unless memory could never hold it. */
  #giveUp(requests: readonly WaitingRequest[]): void {
    for (const request of requests) {
      const isTooLarge = request.body.length > this.#bytesMax;
      if (request.stored !== null && !isTooLarge && this.#spool?.giveBack(request.stored) === true) continue;
      this.#listener.dropped(request);
      this.settled(request);
    }
  }

  async #writeAll(): Promise<void> {
    try {
      for (const request of this.#writing) await this.#write(request);
    } finally {
      // At once: one that comes from now on begins anew.
      this.#writes = null;
    }
  }

  async #write(request: WaitingRequest): Promise<void> {
    let failure: unknown = null;
    const isTried = this.#isSpoolUsable;
    if (isTried) {
      const watch = setTimeout(() => this.#hang(request), HUNG_AFTER_MS).unref();
      try {
        await this.#append(request, false);
      } catch (error) {
        failure = error;
      }
      clearTimeout(watch);
      this.#isHung = false;
    }
    // Given up by a stop, and counted.
    if (!this.#writing.has(request)) return;
    this.#leaveWriting(request);
    if (!isTried || failure !== null) this.#queueUp(request);
    else this.#listener.stored(request.body, request.encoding);
    if (failure !== null) {
      this.#writeAgainMs = performance.now() + AGAIN_MS;
      this.#listener.writeFailed(failure);
    }
    this.load();
    this.#listener.changed();
  }

  /** What waits behind a write that hangs waits for the backend instead. */
  #hang(written: WaitingRequest): void {
    this.#isHung = true;
    this.#listener.writeFailed(new SpoolHangsError('writing a request', HUNG_AFTER_MS));
    for (const request of this.#writing) {
      if (request === written) continue;
      this.#leaveWriting(request);
      this.#queueUp(request);
    }
    this.#listener.changed();
  }

  #leaveWriting(request: WaitingRequest): void {
    if (!this.#writing.delete(request)) return;
    this.#writingBytes -= request.body.length;
    this.#writingSpans -= request.spans;
  }

  /** Writes a request, compressed also where the backend takes it as it is. */
  async #append(request: WaitingRequest, isBefore: boolean): Promise<void> {
    const { sequence, spans, processSpans, heldSpans } = request;
    let { body, encoding } = request;
    if (encoding === 'identity') {
      body = await compress(body, 'zstd');
      encoding = 'zstd';
    }
    await this.#spool?.append({ sequence, spans, processSpans, heldSpans, encoding }, body, isBefore);
  }

  #wantsMore(spool: Spool): boolean {
    const isLow = this.#bytesMax === 0 || this.bytes + this.#takenBytes < this.#bytesMax * LOAD_SHARE;
    const isReadable = !spool.isRecovering && !spool.isEmpty && performance.now() >= this.#readAgainMs;
    return this.#isLoadable && isLow && isReadable;
  }

  #readLater(spool: Spool, error: unknown): null {
    spool.trouble('what it holds can not be read now', error);
    this.#readAgainMs = Infinity;
    setTimeout(() => {
      this.#readAgainMs = 0;
      this.load();
    }, AGAIN_MS).unref();
    return null;
  }

  async #loadFrom(spool: Spool): Promise<void> {
    while (this.#wantsMore(spool)) {
      const loaded = await spool.load().catch((error: unknown) => this.#readLater(spool, error));
      if (loaded === null) return;
      const { stored, body } = loaded;
      const { sequence, spans, processSpans, heldSpans, encoding } = stored.head;
      const counts = { spans, processSpans, heldSpans, closedBootMs: 0 };
      const request = { sequence, ...counts, body, encoding, ...FRESH, stored };
      if (this.#isLoadable) this.#queueUp(request);
      else spool.giveBack(stored);
      this.#listener.changed();
    }
  }

  async #keepAll(spool: Spool, left: Set<WaitingRequest>, signal: AbortSignal): Promise<void> {
    // That needs no disk: at first, whatever becomes of the others.
    for (const request of left) {
      if (request.stored !== null && spool.giveBack(request.stored)) left.delete(request);
    }
    await this.#writes;
    // A write that failed put its request back.
    for (const request of this.clear()) left.add(request);
    const { oldestSequence } = spool;
    for (const request of [...left].sort((one, other) => one.sequence - other.sequence)) {
      if (signal.aborted) return;
      await this.#append(request, request.sequence < oldestSequence);
      left.delete(request);
    }
  }
}
