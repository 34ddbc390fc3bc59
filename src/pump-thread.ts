// The pump as the main thread sees it: a worker that is sent buffers and verdicts, and gives requests.
import { Worker } from 'node:worker_threads';
import { makeEventFd, wake } from './bpf/libc.ts';
import { COUNTER_BLOCK_BYTES, counterIndex, gaugeIndex, readCounters } from './model/counters.ts';
import { slotCountBytes, SlotCounts } from './model/slot-counts.ts';
import { samplingBlockBytes, SamplingWords } from './model/sampling-words.ts';
import type { FromPump, PumpOptions, ToPump } from './model/pump-messages.ts';

const SCOPE_RECORDS_LOST = counterIndex('scope_records_lost');
const SCOPE_RECORDS_TAKEN = gaugeIndex('scope_records_taken');

export type PumpSettings = Omit<
  PumpOptions,
  'eventFd' | 'counters' | 'slotCounts' | 'sampling' | 'buffers'
> & {
  /** Requests that are on the way to the exporter, or filled. */
  readonly buffersMax: number;
};

export interface PumpListener {
  /** The bytes are the caller's until what it returns is resolved. */
  request(
    bytes: Uint8Array,
    spans: number,
    processSpans: number,
    heldSpans: number,
    closedBootMs: number,
  ): Promise<void> | void;
  scopeRecord(record: Uint8Array): void;
  scopeUnknown(scope: bigint): void;
}

export interface PumpWorker {
  readonly worker: Worker;
  /** Rejects when the thread fails or ends; that of a pump that was stopped too. */
  readonly failed: Promise<never>;
}

/** Starts the pump's thread, which loads its code and waits for a {@link PumpThread}: the programs are loaded meanwhile. */
export function startPumpWorker(): PumpWorker {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./pump-worker.${extension}`, import.meta.url));
  const failed = new Promise<never>((_resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`the pump's thread has ended with ${code}`)));
  });
  failed.catch(() => {});
  return { worker, failed };
}

export class PumpThread {
  readonly counters: Float64Array;
  readonly slotCounts: SlotCounts;
  readonly sampling: SamplingWords;
  readonly #buffers: readonly SharedArrayBuffer[];
  readonly ready: Promise<void>;
  readonly failed: Promise<never>;
  readonly #worker: Worker;
  readonly #listener: PumpListener;
  readonly #eventFd: number;
  readonly #ended: Promise<void>;
  readonly #drains: (() => void)[] = [];
  #markReady: () => void = () => {};
  #fail: (error: Error) => void = () => {};

  /** @param worker of {@link startPumpWorker}; it begins to read the ring. */
  constructor({ worker, failed }: PumpWorker, settings: PumpSettings, listener: PumpListener) {
    this.#worker = worker;
    this.#listener = listener;
    this.#eventFd = makeEventFd();
    const shared = new SharedArrayBuffer(COUNTER_BLOCK_BYTES);
    this.counters = new Float64Array(shared);
    this.failed = new Promise((_resolve, reject) => (this.#fail = reject));
    this.failed.catch(() => {});
    const ready = new Promise<void>((resolve) => (this.#markReady = resolve));
    failed.catch((error: Error) => this.#fail(error));
    this.ready = Promise.race([ready, this.failed]);
    this.ready.catch(() => {});
    // One more slot than containers: the host's.
    const slotCounts = new SharedArrayBuffer(slotCountBytes(settings.containersMax + 1));
    this.slotCounts = new SlotCounts(slotCounts);
    const sampling = new SharedArrayBuffer(samplingBlockBytes(settings.containersMax + 1));
    this.sampling = SamplingWords.ofBlock(sampling);
    this.#buffers = Array.from(
      { length: settings.buffersMax },
      () => new SharedArrayBuffer(settings.requestBytesMax),
    );
    const options: PumpOptions = {
      ...settings,
      eventFd: this.#eventFd,
      counters: shared,
      slotCounts,
      sampling,
      buffers: this.#buffers,
    };
    this.#ended = new Promise((resolve) => this.#worker.on('exit', () => resolve()));
    this.#worker.on('message', (message: FromPump) => this.#take(message));
    this.#worker.postMessage(options);
  }

  /** Posts a message and wakes the pump. */
  send(message: ToPump): void {
    this.#worker.postMessage(message);
    wake(this.#eventFd);
  }

  /** Resolves when the pump has read all that the ring held; rejects when it has died. */
  drained(): Promise<void> {
    const drained = new Promise<void>((resolve) => {
      this.#drains.push(resolve);
      this.send({ type: 'drain' });
    });
    return Promise.race([drained, this.failed]);
  }

  /** Drains, seals and ends the worker: nobody reads the ring when it resolves. */
  async stop(): Promise<void> {
    this.send({ type: 'stop' });
    await Promise.race([this.#ended, this.failed.catch(() => this.#worker.terminate())]);
  }

  /** One of the records that the listener was given is taken: the pump bounds how many aren't. */
  scopeRecordTaken(): void {
    this.counters[SCOPE_RECORDS_TAKEN] += 1;
  }

  /** Records about scopes that the pump gave up, as too many weren't taken. */
  get scopeRecordsLost(): number {
    return this.counters[SCOPE_RECORDS_LOST];
  }

  readCounters(): ReturnType<typeof readCounters> {
    return readCounters(this.counters);
  }

  #take(message: FromPump): void {
    if (message.type === 'ready') this.#markReady();
    else if (message.type === 'request') void this.#takeRequest(message);
    else if (message.type === 'scope-record') this.#listener.scopeRecord(message.record);
    else if (message.type === 'scope-unknown') this.#listener.scopeUnknown(scopeOf(message));
    else if (message.type === 'drained') this.#drains.shift()?.();
    else if (message.type === 'failed') {
      const error = new Error(`the pump failed: ${message.message}`);
      error.stack = message.stack;
      this.#fail(error);
    }
  }

  async #takeRequest(message: FromPump & { type: 'request' }): Promise<void> {
    const { index, spans, processSpans, heldSpans, closedBootMs } = message;
    const bytes = new Uint8Array(this.#buffers[index], 0, message.bytes);
    try {
      await this.#listener.request(bytes, spans, processSpans, heldSpans, closedBootMs);
    } catch (error) {
      this.#fail(error as Error);
    }
    this.send({ type: 'buffer', index });
  }
}

function scopeOf({ scopeLo, scopeHi }: { readonly scopeLo: number; readonly scopeHi: number }): bigint {
  return (BigInt(scopeHi) << 32n) | BigInt(scopeLo);
}
