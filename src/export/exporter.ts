// The export stage, on the main thread: sealed requests in, spans accepted by a backend out. Every span
// given to it ends in exactly one counter, or still waits; nothing here may block.
import { setMaxListeners } from 'node:events';
import type { ExportObserver } from '../model/export-observer.ts';
import { atMost } from '../model/at-most.ts';
import { firstSpans, spansWithout } from '../model/span-counts.ts';
import { Alarm } from './alarm.ts';
import { Backlog } from './backlog.ts';
import { Credentials } from './credentials.ts';
import { BodyEncoder } from './body-encoder.ts';
import { fallbackOf, firstEncoding, type Encoding } from './encoding.ts';
import { parseEndpoint, type Endpoint } from './endpoint.ts';
import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, type ExportLog, type ExportOptions } from './export-options.ts';
import { ExportReport } from './export-report.ts';
import { GrpcTransport } from './grpc-transport.ts';
import { HttpTransport } from './http-transport.ts';
import { Losses } from './losses.ts';
import { FRESH, type WaitingRequest } from './request-queue.ts';
import { RetryGate } from './retry-gate.ts';
import { retryable, type Partial, type Permanent, type Retryable, type SendResult } from './send-result.ts';
import { SpanLedger } from './span-ledger.ts';
import type { Spool } from './spool/spool.ts';
import type { Transport } from './transport.ts';

/** Requests in a millisecond: ages over restarts are the clock's, and within a run the order's. */
const SEQUENCES_PER_MS = 1024;

export class Exporter {
  /** Told of each send. */
  observer: ExportObserver = () => {};
  readonly #options: ExportOptions;
  readonly #ledger: SpanLedger;
  readonly #endpoint: Endpoint;
  readonly #credentials: Credentials;
  readonly #transport: Transport;
  readonly #bodies: BodyEncoder;
  readonly #spool: Spool | null;
  readonly #backlog: Backlog;
  readonly #losses: Losses;
  readonly #report: ExportReport;
  readonly #abort = new AbortController();
  readonly #gate: RetryGate;
  readonly #alarm = new Alarm(() => this.#sendMore());
  #sequence = Date.now() * SEQUENCES_PER_MS;
  #inFlight = 0;
  #inFlightSpans = 0;
  #compressing = 0;
  #compressingSpans = 0;
  #isClosed = false;
  #closing: Promise<void> | null = null;
  /** Given up by the stop: for the spool, if there is one. */
  readonly #left: WaitingRequest[] = [];
  readonly #onIdle: (() => void)[] = [];

  /**
   * Begins no connection until there is something to send. `counters` is the shared block of
   * model/counters.ts; `spool` takes what memory can't hold. Throws an EndpointError for an endpoint that can't be sent to.
   */
  constructor(options: ExportOptions, counters: Float64Array, log: ExportLog, spool: Spool | null = null) {
    this.#options = options;
    this.#ledger = new SpanLedger(counters);
    this.#endpoint = parseEndpoint(options.endpoint, options.protocol, options.isEndpointExact);
    this.#credentials = new Credentials(options);
    const TransportOf = options.protocol === 'grpc' ? GrpcTransport : HttpTransport;
    this.#transport = new TransportOf(this.#endpoint, options, this.#credentials);
    this.#report = new ExportReport(log, this.#endpoint.display);
    this.#spool = spool;
    const losses = (this.#losses = new Losses(this.#ledger, this.#report));
    this.#backlog = new Backlog(options.queueBytesMax, spool, {
      dropped: (request) => losses.forRoom(request),
      changed: () => this.#sendMore(),
      writeFailed: (error) => this.#report.spoolFailed('requests can not be written', error),
      stored: (body, encoding) => this.#bodies.giveBack(body, encoding),
    });
    this.#bodies = new BodyEncoder(firstEncoding(options.compression, this.#endpoint.isLoopback));
    setMaxListeners(0, this.#abort.signal); // one per request under way
    const { firstMs = BACKOFF_FIRST_MS, maxMs = BACKOFF_MAX_MS } = options.backoff ?? {};
    this.#gate = new RetryGate(firstMs, maxMs);
    spool?.begin({
      recovered: losses.recovered.bind(losses),
      lost: losses.ofSpool.bind(losses),
      trouble: (what, error) => this.#report.spoolFailed(what, error),
      loadable: () => this.#backlog.load(),
    });
  }

  /** Spans in requests that are being sent. */
  get inFlightSpans(): number {
    return this.#inFlightSpans;
  }

  /** Spans that wait in memory, also for their compression. */
  get queuedSpans(): number {
    return this.#backlog.spans + this.#compressingSpans;
  }

  /** Spans that are neither accepted nor dropped nor on the disk. */
  get unsettledSpans(): number {
    return this.#inFlightSpans + this.queuedSpans;
  }

  get queuedBytes(): number {
    return this.#backlog.bytes;
  }

  /** Whether a portion of spans pushes nothing out that came before. */
  get hasRoom(): boolean {
    return this.#backlog.hasRoom;
  }

  /** What is on the disk; null: there is no spool. */
  get spool(): Pick<Spool, 'waiting' | 'bytes' | 'bytesMax'> | null {
    return this.#spool;
  }

  /**
   * Takes one sealed ExportTraceServiceRequest of `spans` spans. The promise resolves when `request` is
   * no longer read and its buffer may be used again; it never rejects. Where memory is full and no spool takes it, the
   * oldest request is dropped, counted as `queue_full`.
   */
  async enqueue(
    request: Uint8Array,
    spans: number,
    processSpans = 0,
    heldSpans = 0,
    closedBootMs = 0,
  ): Promise<void> {
    const counts = { spans, processSpans, heldSpans, closedBootMs };
    if (this.#isClosed) return this.#ledger.drop('shutdown', counts);
    const sequence = this.#sequence++;
    this.#compressing += 1;
    this.#compressingSpans += spans;
    const encoded = await this.#bodies.encode(request);
    this.#compressing -= 1;
    this.#compressingSpans -= spans;
    this.#wait({ sequence, ...counts, ...encoded, ...FRESH });
    this.#sendMore();
  }

  /**
   * Sends what waits in memory for at most `timeoutMs`; what is left then goes to the spool, and without one is counted as
   * `shutdown`. The exporter takes nothing after it.
   */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#isClosed) return this.close();
    this.#gate.hurry();
    this.#backlog.hurry();
    this.#sendMore();
    // Where the backend asked for a longer wait, nothing would be sent.
    const isShut = this.#gate.notBeforeMs > performance.now() + timeoutMs;
    if (!isShut || this.#inFlight > 0 || this.#compressing > 0) await atMost(timeoutMs, this.#idle());
    await this.close();
  }

  /** Stops sending at once, also a flush that is under way: what is left goes to the spool, or is counted as `shutdown`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    this.#abort.abort();
    this.#alarm.set(Infinity);
    for (const request of this.#backlog.clear()) this.#left.push(request);
    await this.#idle();
    for (const request of await this.#backlog.keep(this.#left)) this.#ledger.drop('shutdown', request);
    this.#transport.close();
  }

  #idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #isIdle(): boolean {
    // Once closed, what is on its way to the disk has a deadline of its own.
    return this.#inFlight === 0 && this.#compressing === 0 && (this.#isClosed || this.#backlog.length === 0);
  }

  #wait(request: WaitingRequest): void {
    if (this.#isClosed) this.#left.push(request);
    else this.#backlog.add(request);
  }

  /** Sends as much as may be sent now, and comes back when more may. */
  #sendMore(): void {
    const { requestsInFlightMax } = this.#options;
    while (!this.#isClosed && this.#inFlight < this.#gate.inFlightMax(requestsInFlightMax)) {
      const now = performance.now();
      if (now < this.#gate.notBeforeMs) return this.#alarm.set(this.#gate.notBeforeMs);
      const request = this.#backlog.take(now, this.#gate.prefersFresh);
      if (request === null) {
        this.#alarm.set(this.#backlog.nextReadyMs());
        break;
      }
      void this.#deliver(request);
    }
    if (this.#isIdle()) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  async #deliver(request: WaitingRequest): Promise<void> {
    this.#inFlight += 1;
    this.#inFlightSpans += request.spans;
    const startedMs = performance.now();
    if (request.attempts === 0) request.firstTriedMs = startedMs;
    else this.#ledger.count('requests_retried', 1);
    request.attempts += 1;
    const result = await this.#send(request);
    this.#inFlight -= 1;
    this.#inFlightSpans -= request.spans;
    const { closedBootMs } = request;
    if (result.kind !== 'damaged')
      this.observer({ durationMs: performance.now() - startedMs, kind: result.kind, closedBootMs });
    this.#settle(request, result, startedMs);
    this.#sendMore();
  }

  async #send(request: WaitingRequest): Promise<SendResult> {
    const failure = await this.#bodies.encodeAgain(request);
    if (failure !== null) return failure;
    this.#ledger.count('requests_sent', 1);
    this.#ledger.count('bytes_sent', request.body.length);
    return this.#transport.send(request.body, request.encoding, this.#abort.signal);
  }

  #settle(request: WaitingRequest, result: SendResult, startedMs: number): void {
    switch (result.kind) {
      case 'success':
        if (result.oddity !== null)
          this.#report.trouble('the backend took the spans with a remark', result.oddity, {}, request.spans);
        this.#ledger.accept(request);
        this.#backlog.settled(request);
        // The whole request was read: an answer before its end closes the connection.
        this.#bodies.giveBack(request.body, request.encoding);
        return this.#worked(startedMs);
      case 'partial':
        this.#settlePartial(request, result);
        return this.#worked(startedMs);
      case 'retryable':
        return this.#retry(request, result, startedMs);
      case 'permanent':
        return this.#settlePermanent(request, result, startedMs);
      case 'damaged':
        this.#backlog.settled(request);
        return this.#losses.ofSpool('spool_damaged', request);
    }
  }

  #settlePartial(request: WaitingRequest, result: Partial): void {
    const rejected = firstSpans(request, result.rejectedSpans);
    this.#ledger.drop('rejected', rejected);
    this.#ledger.accept(spansWithout(request, rejected));
    this.#backlog.settled(request);
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
      if (request.encoding === this.#bodies.encoding) this.#fallBack(simpler, result);
      return this.#wait(request);
    }
    this.#losses.refused('rejected', request, result);
    this.#backlog.settled(request);
    this.#worked(startedMs);
  }

  #fallBack(simpler: Encoding, result: Permanent): void {
    const message = `the backend does not take ${this.#bodies.encoding}; requests are sent with ${simpler} from now on`;
    this.#bodies.encoding = simpler;
    this.#report.trouble(message, result.reason, { cure: result.cure }, 0);
  }

  #retry(request: WaitingRequest, result: Retryable, startedMs: number): void {
    const now = performance.now();
    if (!this.#isClosed) this.#report.failed(result, this.queuedSpans, this.queuedBytes);
    request.readyAtMs = this.#gate.failed(startedMs, now, request.attempts, result.retryAfterMs);
    const elapsedMaxMs = this.#options.retryElapsedMaxMs ?? 0;
    if (elapsedMaxMs > 0 && now - request.firstTriedMs >= elapsedMaxMs) {
      this.#losses.refused('retries_exhausted', request, result);
      return this.#backlog.settled(request);
    }
    this.#wait(request);
  }

  #worked(startedMs: number): void {
    if (this.#gate.worked(startedMs)) this.#report.worked();
  }
}
