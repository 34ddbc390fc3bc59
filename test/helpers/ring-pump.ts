// The whole pump over a ring in memory, in this thread: given records and messages, it runs until all is sealed. The
// stages and what they remember are the same ones in each run, as in a collector.
import { checkRecord } from '../../src/decode/check-record.ts';
import { OpenRequest } from '../../src/encode/request.ts';
import { SpanArena } from '../../src/encode/span-arena.ts';
import { ScopeTable } from '../../src/enrich/scope-table.ts';
import { WaitingArea } from '../../src/enrich/waiting-area.ts';
import { PairSampler } from '../../src/filter/pair-sampler.ts';
import { PathRedaction } from '../../src/filter/path-redaction.ts';
import { LiveTraces } from '../../src/group/live-traces.ts';
import { COUNTER_BLOCK_BYTES, readCounters } from '../../src/model/counters.ts';
import { wordsOf, type FromPump, type PumpOptions, type ToPump } from '../../src/model/pump-messages.ts';
import { samplingBlockBytes } from '../../src/model/sampling-words.ts';
import { slotCountBytes } from '../../src/model/slot-counts.ts';
import type { PumpStages } from '../../src/pump/pump-stages.ts';
import { Pump } from '../../src/pump/pump.ts';
import { readClock, Waiter } from '../../src/ring/libc.ts';
import { RingReader } from '../../src/ring/ring-reader.ts';
import { WallClock } from '../../src/ring/wall-clock.ts';
import { createTestRing, eventfd, wake } from './ring-memory.ts';

/** Slots 1 to 3, and the host's. */
export const CONTAINERS_MAX = 3;
const RING_BYTES = 1 << 18;
const REQUEST_BYTES = 1 << 18;
const BUFFERS = 2;
const RECORDS_WAITING_MAX = 64;

export interface WrittenRecord {
  readonly bytes: Uint8Array;
  /** The length word; left out: what the kernel would write. */
  readonly header?: number | undefined;
}

export type Counts = Readonly<Record<string, number>>;

export interface PumpRun {
  /** What each counter grew by. */
  readonly counters: Counts;
  readonly requests: readonly Uint8Array[];
  /** What the pump said of its requests. */
  readonly told: { spans: number; processSpans: number; heldSpans: number };
  /** Records that went on to the main thread. */
  readonly scopeRecords: readonly Uint8Array[];
}

export type RingPumpOptions = Partial<
  Pick<PumpOptions, 'attributes' | 'hasIoTotals' | 'spanName' | 'redaction' | 'traceGroupBy'>
>;

export class RingPump {
  readonly #options: PumpOptions;
  readonly #ring = createTestRing(RING_BYTES);
  readonly #positions: readonly BigUint64Array[];
  readonly #stages: Omit<PumpStages, 'ring' | 'request' | 'sealInto' | 'receive' | 'post'>;
  readonly #request: OpenRequest;
  readonly #sealed: readonly SpanArena[];
  /** Told at the next run. Scopes that the pump asked about are forgotten: its table is of bounded size. */
  #asked: ToPump[] = [];

  /** `traced`: scopes that are judged before the first run. */
  constructor(options: RingPumpOptions = {}, traced: readonly bigint[] = []) {
    this.#options = optionsOf(options);
    this.#asked = traced.map((scope, index): ToPump => {
      const slot = index % (CONTAINERS_MAX + 1);
      return { type: 'scope', verdict: { ...wordsOf(scope), verdict: 'trace', slot } };
    });
    this.#positions = [this.#ring.consumer, this.#ring.producer].map(
      (page) => new BigUint64Array(page, 0, 1),
    );
    this.#request = new OpenRequest(this.#options);
    this.#sealed = this.#options.buffers.map((buffer) => new SpanArena(Buffer.from(buffer)));
    const { redaction, sampling, waitingRecordsMax } = this.#options;
    this.#stages = {
      waiter: new Waiter(-1, this.#options.eventFd),
      clock: new WallClock(readClock),
      check: checkRecord,
      scopes: new ScopeTable(1024),
      waiting: new WaitingArea(waitingRecordsMax),
      traces: new LiveTraces(this.#options),
      sampler: new PairSampler(sampling),
      redaction: new PathRedaction(redaction),
    };
  }

  /** Runs the pump over the records and the messages; each scope that it asks about gets the verdict that its number says. */
  run(records: readonly WrittenRecord[], messages: readonly ToPump[] = []): PumpRun {
    for (const position of this.#positions) position[0] = 0n;
    for (const { bytes, header } of records) this.#ring.write(bytes, header);
    const before = readCounters(new Float64Array(this.#options.counters));
    const [requests, scopeRecords]: Uint8Array[][] = [[], []];
    const told = { spans: 0, processSpans: 0, heldSpans: 0 };
    // A message each turn is read to its end; the last turns take what the first ones asked for.
    const turns: ToPump[][] = [[...this.#asked, ...messages], [], [{ type: 'stop' }]];
    this.#asked = [];
    const { eventFd, counters } = this.#options;
    const post = (message: FromPump): void => {
      if (message.type === 'request') {
        const { index, bytes, spans, processSpans, heldSpans } = message;
        requests.push(Uint8Array.from(this.#sealed[index].bytes.subarray(0, bytes)));
        told.spans += spans;
        told.processSpans += processSpans;
        told.heldSpans += heldSpans;
        (turns[0] ?? turns.at(turns.push([]) - 1)).push({ type: 'buffer', index });
      } else if (message.type === 'scope-record') scopeRecords.push(message.record);
      else if (message.type === 'scope-unknown') {
        turns[0]?.push(verdictOf(message.scopeLo, message.scopeHi));
        this.#asked.push({ type: 'scope-gone', scopeLo: message.scopeLo, scopeHi: message.scopeHi });
      }
    };
    new Pump(this.#options, {
      ...this.#stages,
      ring: new RingReader(this.#ring),
      request: this.#request,
      sealInto: (index) => this.#request.seal(this.#sealed[index]),
      receive: () => {
        const message = turns[0]?.shift();
        if (message === undefined) {
          turns.shift();
          wake(eventFd);
        }
        return message;
      },
      post,
    }).run();
    const after = readCounters(new Float64Array(counters));
    const names = Object.keys(after) as (keyof typeof after)[];
    const grown = Object.fromEntries(names.map((name) => [name, after[name] - before[name]]));
    return { counters: grown, requests, told, scopeRecords };
  }
}

/** Any of the three that the main thread may answer, so that all of them are met. */
function verdictOf(scopeLo: number, scopeHi: number): ToPump {
  const choice = (scopeLo ^ scopeHi) & 7;
  if (choice === 7) return { type: 'scope-gone', scopeLo, scopeHi };
  const slot = choice % (CONTAINERS_MAX + 1);
  return { type: 'scope', verdict: { scopeLo, scopeHi, verdict: choice === 6 ? 'ignore' : 'trace', slot } };
}

function optionsOf(options: RingPumpOptions): PumpOptions {
  const slots = CONTAINERS_MAX + 1;
  return {
    ringFd: -1,
    consumerAddress: 0n,
    producerAddress: 0n,
    ringBytes: RING_BYTES,
    eventFd: eventfd(0, 0) as number,
    counters: new SharedArrayBuffer(COUNTER_BLOCK_BYTES),
    slotCounts: new SharedArrayBuffer(slotCountBytes(slots)),
    sampling: new SharedArrayBuffer(samplingBlockBytes(slots)),
    bootIdLo: 1,
    bootIdHi: 2,
    requestBytesMax: REQUEST_BYTES,
    requestSpansMax: 16,
    requestAgeMaxMs: 60_000,
    buffers: Array.from({ length: BUFFERS }, () => new SharedArrayBuffer(REQUEST_BYTES)),
    containersMax: CONTAINERS_MAX,
    waitingRecordsMax: RECORDS_WAITING_MAX,
    attributes: 'standard',
    spanName: 'template',
    spanNamesMax: 5,
    scopeVersion: '1.2.3',
    traceGroupBy: 'process',
    sliceMs: 15_000,
    sliceSpansMax: 1000,
    ...options,
  };
}
