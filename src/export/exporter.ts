// The export stage, on the main thread: sealed requests in, spans accepted by a backend out. Every span
// given to it ends in exactly one counter, or still waits; nothing here may block.
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExportObserver } from '../model/export-observer.ts';
import { counterIndex, type CounterName } from '../model/counters.ts';
import { firstSpans, spansWithout, type SpanCounts } from '../model/span-counts.ts';
import { Credentials } from './credentials.ts';
import { BodyPool } from './body-pool.ts';
import { compress, fallbackOf, firstEncoding, recompress, type Encoding } from './encoding.ts';
import { parseEndpoint, type Endpoint } from './endpoint.ts';
import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, type ExportLog, type ExportOptions } from './export-options.ts';
import { ExportReport } from './export-report.ts';
import { GrpcTransport } from './grpc-transport.ts';
import { HttpTransport } from './http-transport.ts';
import { RequestQueue, type WaitingRequest } from './request-queue.ts';
import { RetryGate } from './retry-gate.ts';
import { retryable, type Partial, type Permanent, type Retryable, type SendResult } from './send-result.ts';
import type { Transport } from './transport.ts';

export class Exporter {
  /** Told of each send. */
  observer: ExportObserver = () => {};
  readonly #options: ExportOptions;
  readonly #counters: Float64Array;
  readonly #endpoint: Endpoint;
  readonly #credentials: Credentials;
  readonly #transport: Transport;
  readonly #bodies = new BodyPool();
  readonly #queue: RequestQueue;
  readonly #report: ExportReport;
  readonly #abort = new AbortController();
  readonly #gate: RetryGate;
  #encoding: Encoding;
  #sequence = 0;
  #inFlight = 0;
  #inFlightSpans = 0;
  #compressing = 0;
  #compressingSpans = 0;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  readonly #onIdle: (() => void)[] = [];

  /**
   * Begins no connection until there is something to send. `counters` is the shared block of
   * model/counters.ts. Throws an EndpointError for an endpoint that can't be sent to.
   */
  constructor(options: ExportOptions, counters: Float64Array, log: ExportLog) {
    this.#options = options;
    this.#counters = counters;
    this.#endpoint = parseEndpoint(options.endpoint, options.protocol, options.isEndpointExact);
    this.#credentials = new Credentials(options);
    const TransportOf = options.protocol === 'grpc' ? GrpcTransport : HttpTransport;
    this.#transport = new TransportOf(this.#endpoint, options, this.#credentials);
    this.#queue = new RequestQueue(options.queueBytesMax);
    this.#report = new ExportReport(log, this.#endpoint.display);
    this.#encoding = firstEncoding(options.compression, this.#endpoint.isLoopback);
    setMaxListeners(0, this.#abort.signal); // one per request under way
    const { firstMs = BACKOFF_FIRST_MS, maxMs = BACKOFF_MAX_MS } = options.backoff ?? {};
    this.#gate = new RetryGate(firstMs, maxMs);
  }

  /** Spans in requests that are being sent. */
  get inFlightSpans(): number {
    return this.#inFlightSpans;
  }

  /** Spans that wait, also for their compression. */
  get queuedSpans(): number {
    return this.#queue.spans + this.#compressingSpans;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /**
   * Takes one sealed ExportTraceServiceRequest of `spans` spans. The promise resolves when `request` is
   * no longer read and its buffer may be used again; it never rejects. A full queue drops its oldest
   * request, counted as `queue_full`.
   */
  async enqueue(
    request: Uint8Array,
    spans: number,
    processSpans = 0,
    heldSpans = 0,
    closedBootMs = 0,
  ): Promise<void> {
    const counts = { spans, processSpans, heldSpans, closedBootMs };
    if (this.#isClosed) return this.#drop('shutdown', counts);
    const sequence = this.#sequence++;
    this.#compressing += 1;
    this.#compressingSpans += spans;
    let encoding = this.#encoding;
    // Compression only fails without memory; the bytes as they are need no more of it than a copy.
    const body = await this.#bodyOf(request, encoding).catch(() => {
      encoding = 'identity';
      return Buffer.from(request);
    });
    this.#compressing -= 1;
    this.#compressingSpans -= spans;
    this.#wait({ sequence, ...counts, body, encoding, attempts: 0, firstTriedMs: 0, readyAtMs: 0 });
    this.#sendMore();
  }

  /** Sends what waits for at most `timeoutMs`; what is left then is counted as `shutdown`. The exporter takes nothing after it. */
  async flush(timeoutMs: number): Promise<void> {
    if (!this.#isClosed) {
      this.#gate.hurry();
      this.#queue.hurry();
      this.#sendMore();
      const deadline = new AbortController();
      await Promise.race([
        this.#idle(),
        sleep(timeoutMs, undefined, { signal: deadline.signal }).catch(() => undefined),
      ]);
      deadline.abort();
      this.#isClosed = true;
      this.#abort.abort();
      if (this.#timer !== null) clearTimeout(this.#timer);
      for (const request of this.#queue.clear()) this.#drop('shutdown', request);
    }
    await this.#idle();
    this.#transport.close();
  }

  /** Gives up what is left, counted as `shutdown`, and closes the connections. */
  close(): Promise<void> {
    return this.flush(0);
  }

  #bodyOf(request: Uint8Array, encoding: Encoding): Promise<Buffer> {
    return encoding === 'identity'
      ? Promise.resolve(this.#bodies.copy(request))
      : compress(request, encoding);
  }

  #idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #isIdle(): boolean {
    return this.#inFlight === 0 && this.#compressing === 0 && this.#queue.length === 0;
  }

  #wait(request: WaitingRequest): void {
    if (this.#isClosed) return this.#drop('shutdown', request);
    const dropped = this.#queue.add(request);
    if (dropped.length === 0) return;
    for (const oldest of dropped) this.#drop('queue_full', oldest);
    const droppedSpans = dropped.reduce((sum, { spans }) => sum + spans, 0);
    const cure = 'see why the backend takes no more; raise export.queue.bytes_max or lower sampling.ratio';
    this.#report.trouble('spans dropped: the export queue is full', 'queue_full', { cure }, droppedSpans);
  }

  /** Sends as much as may be sent now, and comes back when more may. */
  #sendMore(): void {
    const { requestsInFlightMax } = this.#options;
    while (!this.#isClosed && this.#inFlight < this.#gate.inFlightMax(requestsInFlightMax)) {
      const now = performance.now();
      if (now < this.#gate.notBeforeMs) return this.#comeBackAt(this.#gate.notBeforeMs);
      const request = this.#queue.take(now, this.#gate.prefersFresh);
      if (request === null) {
        this.#comeBackAt(this.#queue.nextReadyMs());
        break;
      }
      void this.#deliver(request);
    }
    if (this.#isIdle()) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #comeBackAt(atMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (atMs === Infinity) return;
    // Rounded up: a timer that fires a fraction early would only be set again.
    this.#timer = setTimeout(() => this.#sendMore(), Math.ceil(atMs - performance.now()) + 1);
  }

  async #deliver(request: WaitingRequest): Promise<void> {
    this.#inFlight += 1;
    this.#inFlightSpans += request.spans;
    const startedMs = performance.now();
    if (request.attempts === 0) request.firstTriedMs = startedMs;
    else this.#count('requests_retried', 1);
    request.attempts += 1;
    const result = await this.#send(request);
    this.#inFlight -= 1;
    this.#inFlightSpans -= request.spans;
    const { closedBootMs } = request;
    this.observer({ durationMs: performance.now() - startedMs, kind: result.kind, closedBootMs });
    this.#settle(request, result, startedMs);
    this.#sendMore();
  }

  async #send(request: WaitingRequest): Promise<SendResult> {
    if (request.encoding !== this.#encoding) {
      try {
        const encoding = this.#encoding;
        request.body = await recompress(request.body, request.encoding, encoding);
        request.encoding = encoding;
      } catch (error) {
        return retryable(
          `compressing a request again: ${(error as Error).message}`,
          'give fdspan more memory',
        );
      }
    }
    this.#count('requests_sent', 1);
    this.#count('bytes_sent', request.body.length);
    return this.#transport.send(request.body, request.encoding, this.#abort.signal);
  }

  #settle(request: WaitingRequest, result: SendResult, startedMs: number): void {
    switch (result.kind) {
      case 'success':
        if (result.oddity !== null)
          this.#report.trouble('the backend took the spans with a remark', result.oddity, {}, request.spans);
        this.#accept(request);
        // The whole request was read: an answer before its end closes the connection.
        if (request.encoding === 'identity') this.#bodies.giveBack(request.body);
        return this.#worked(startedMs);
      case 'partial':
        this.#settlePartial(request, result);
        return this.#worked(startedMs);
      case 'retryable':
        return this.#retry(request, result, startedMs);
      case 'permanent':
        return this.#settlePermanent(request, result, startedMs);
    }
  }

  #settlePartial(request: WaitingRequest, result: Partial): void {
    const rejected = firstSpans(request, result.rejectedSpans);
    this.#drop('rejected', rejected);
    this.#accept(spansWithout(request, rejected));
    this.#report.trouble('the backend rejected spans of a request', result.reason, {}, rejected.spans);
  }

  #settlePermanent(request: WaitingRequest, result: Permanent, startedMs: number): void {
    if (result.isUnauthenticated && this.#credentials.canChange) {
      this.#credentials.expire();
      return this.#retry(
        request,
        retryable(result.reason, 'renew the token in export.headers_file'),
        startedMs,
      );
    }
    const simpler = result.isEncodingRefused ? fallbackOf(request.encoding) : null;
    if (simpler !== null) {
      if (request.encoding === this.#encoding) this.#fallBack(simpler, result);
      return this.#wait(request);
    }
    this.#drop('rejected', request);
    this.#report.gaveUp('the backend rejected a request', result, request.spans);
    this.#worked(startedMs);
  }

  #fallBack(simpler: Encoding, result: Permanent): void {
    const message = `the backend does not take ${this.#encoding}; requests are sent with ${simpler} from now on`;
    this.#encoding = simpler;
    this.#report.trouble(message, result.reason, { cure: result.cure }, 0);
  }

  #retry(request: WaitingRequest, result: Retryable, startedMs: number): void {
    const now = performance.now();
    if (!this.#isClosed) this.#report.failed(result, this.queuedSpans, this.queuedBytes);
    request.readyAtMs = this.#gate.failed(startedMs, now, request.attempts, result.retryAfterMs);
    const elapsedMaxMs = this.#options.retryElapsedMaxMs ?? 0;
    if (elapsedMaxMs > 0 && now - request.firstTriedMs >= elapsedMaxMs) {
      this.#drop('retries_exhausted', request);
      return this.#report.gaveUp('a request is given up after too many tries', result, request.spans);
    }
    this.#wait(request);
  }

  #worked(startedMs: number): void {
    if (this.#gate.worked(startedMs)) this.#report.worked();
  }

  #accept({ spans, processSpans, heldSpans }: SpanCounts): void {
    this.#count('spans_accepted', spans);
    this.#count('process_spans_accepted', processSpans);
    this.#count('held_spans_accepted', heldSpans);
  }

  /** What is no pair's is counted apart, whatever it is dropped for. */
  #drop(reason: CounterName, { spans, processSpans, heldSpans }: SpanCounts): void {
    this.#count(reason, spans);
    this.#count('process_spans_dropped', processSpans);
    this.#count('held_spans_dropped', heldSpans);
  }

  #count(name: CounterName, value: number): void {
    this.#counters[counterIndex(name)] += value;
  }
}
