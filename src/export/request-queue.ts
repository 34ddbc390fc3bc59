// The requests that wait: bounded in bytes, the oldest dropped first, those that failed apart.
import type { SpanCounts } from '../model/span-counts.ts';
import type { Encoding } from './encoding.ts';
import type { StoredRequest } from './spool/segment.ts';

export interface WaitingRequest extends SpanCounts {
  /** Grows with each request: the age for dropping. */
  readonly sequence: number;
  /** Its place on the disk, where it stays until it has ended; null: it is in memory only. */
  stored: StoredRequest | null;
  /** When the first file of it was closed, by the boot clock; 0: not known. */
  readonly closedBootMs: number;
  body: Buffer;
  encoding: Encoding;
  attempts: number;
  /** When the first send began; 0 before. */
  firstTriedMs: number;
  /** Not before this moment: the request's own backoff. */
  readyAtMs: number;
}

/** Of a request that was never sent. */
export const FRESH = { attempts: 0, firstTriedMs: 0, readyAtMs: 0, stored: null };

/** Requests given up at the front before the array is cut: keeps the cost of taking one constant. */
const COMPACT_AFTER = 256;

export class RequestQueue {
  readonly #bytesMax: number;
  /** Never sent, oldest first; what lies before #head is gone. */
  #fresh: (WaitingRequest | undefined)[] = [];
  #head = 0;
  /** Failed at least once, oldest first. Few: while the backend is down, one request is tried at a time. */
  readonly #failed: WaitingRequest[] = [];
  #bytes = 0;
  #spans = 0;

  /** `bytesMax` 0: no limit. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get spans(): number {
    return this.#spans;
  }

  get length(): number {
    return this.#fresh.length - this.#head + this.#failed.length;
  }

  /**
   * Adds a request, and returns those that go for it: the oldest, or the request itself if it can never fit. `otherBytes`
   * are held elsewhere and count, too.
   */
  add(request: WaitingRequest, otherBytes = 0): readonly WaitingRequest[] {
    if (this.#bytesMax > 0 && request.body.length > this.#bytesMax) return [request];
    this.#bytes += request.body.length;
    this.#spans += request.spans;
    if (request.attempts > 0) this.#failed.splice(this.#placeAmongFailed(request), 0, request);
    else if (request.sequence < (this.#fresh.at(-1)?.sequence ?? -Infinity)) this.#insertFresh(request);
    else this.#fresh.push(request);
    return this.shed(otherBytes);
  }

  /** Takes out and returns the oldest requests until there is room for so many bytes besides. */
  shed(otherBytes: number): readonly WaitingRequest[] {
    const shed: WaitingRequest[] = [];
    while (this.#bytesMax > 0 && this.#bytes + otherBytes > this.#bytesMax) {
      const oldest = this.#takeOldest();
      if (oldest === undefined) break;
      shed.push(oldest);
    }
    return shed;
  }

  /**
   * Takes the next request to send; null when none may be sent yet. `prefersFresh` after a failure of a
   * failed one: a request that the backend can't stand must not hold up the others.
   */
  take(nowMs: number, prefersFresh: boolean): WaitingRequest | null {
    const ready = this.#failed.findIndex((request) => request.readyAtMs <= nowMs);
    if (ready !== -1 && !(prefersFresh && this.#head < this.#fresh.length)) {
      const [request] = this.#failed.splice(ready, 1);
      return this.#leave(request);
    }
    const request = this.#shiftFresh();
    return request === undefined ? null : this.#leave(request);
  }

  /** Returns when the first failed request may be sent again; Infinity when none waits. */
  nextReadyMs(): number {
    return this.#failed.reduce((earliest, request) => Math.min(earliest, request.readyAtMs), Infinity);
  }

  /** Lets every failed request be sent again at once (at stop: there is no later). */
  hurry(): void {
    for (const request of this.#failed) request.readyAtMs = 0;
  }

  /** Empties the queue and returns what was in it. */
  clear(): readonly WaitingRequest[] {
    const left = [...this.#failed, ...this.#fresh.slice(this.#head)];
    this.#fresh = [];
    this.#head = 0;
    this.#failed.length = 0;
    this.#bytes = 0;
    this.#spans = 0;
    return left.filter((request) => request !== undefined);
  }

  #placeAmongFailed(request: WaitingRequest): number {
    const index = this.#failed.findIndex((other) => other.sequence > request.sequence);
    return index === -1 ? this.#failed.length : index;
  }

  /** Few come late: those that were on the disk, or could not be written. */
  #insertFresh(request: WaitingRequest): void {
    let place = this.#fresh.length;
    while (place > this.#head && (this.#fresh[place - 1]?.sequence ?? -Infinity) > request.sequence)
      place -= 1;
    this.#fresh.splice(place, 0, request);
  }

  #takeOldest(): WaitingRequest | undefined {
    const fresh = this.#fresh[this.#head];
    const failed = this.#failed.at(0);
    const isFailedOlder = failed !== undefined && (fresh === undefined || failed.sequence < fresh.sequence);
    const oldest = isFailedOlder ? this.#failed.shift() : this.#shiftFresh();
    return oldest === undefined ? undefined : this.#leave(oldest);
  }

  #shiftFresh(): WaitingRequest | undefined {
    if (this.#head === this.#fresh.length) return undefined;
    const request = this.#fresh[this.#head];
    this.#fresh[this.#head] = undefined;
    this.#head += 1;
    if (this.#head >= COMPACT_AFTER && this.#head * 2 >= this.#fresh.length) {
      this.#fresh.splice(0, this.#head);
      this.#head = 0;
    }
    return request;
  }

  #leave(request: WaitingRequest): WaitingRequest {
    this.#bytes -= request.body.length;
    this.#spans -= request.spans;
    return request;
  }
}
