// The whole pump over a ring in memory, in this thread: given records and messages, it runs until all is sealed. The
// stages and what they remember are the same ones in each run, as in a collector.
import { readCounters } from '../../src/model/counters.ts';
import { wordsOf, type FromPump, type PumpOptions, type ToPump } from '../../src/model/pump-messages.ts';
import { Pump } from '../../src/pump/pump.ts';
import { RingReader } from '../../src/ring/ring-reader.ts';
import { makePumpOptions, makePumpStages } from './pump-parts.ts';
import { createTestRing, wake } from './ring-memory.ts';

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
  readonly #parts: ReturnType<typeof makePumpStages>;
  /** Told at the next run. Traced scopes that the pump asked about are forgotten: its table is of bounded size. */
  #asked: ToPump[] = [];
  readonly #answer: (scopeLo: number, scopeHi: number) => ToPump;

  /** `traced`: scopes that are judged before the first run. `answer`: of the main thread about a scope. */
  constructor(options: RingPumpOptions = {}, traced: readonly bigint[] = [], answer = verdictOf) {
    this.#answer = answer;
    this.#options = optionsOf(options);
    this.#asked = traced.map((scope, index): ToPump => {
      const slot = index % (CONTAINERS_MAX + 1);
      return { type: 'scope', verdict: { ...wordsOf(scope), verdict: 'trace', slot } };
    });
    this.#positions = [this.#ring.consumer, this.#ring.producer].map(
      (page) => new BigUint64Array(page, 0, 1),
    );
    this.#parts = makePumpStages(this.#options);
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
    const { stages, sealed } = this.#parts;
    const post = (message: FromPump): void => {
      if (message.type === 'request') {
        const { index, bytes, spans, processSpans, heldSpans } = message;
        requests.push(Uint8Array.from(sealed[index].bytes.subarray(0, bytes)));
        told.spans += spans;
        told.processSpans += processSpans;
        told.heldSpans += heldSpans;
        (turns[0] ?? turns.at(turns.push([]) - 1)).push({ type: 'buffer', index });
      } else if (message.type === 'scope-record') scopeRecords.push(message.record);
      else if (message.type === 'scope-unknown') {
        const answer = this.#answer(message.scopeLo, message.scopeHi);
        turns[0]?.push(answer);
        if (answer.type === 'scope' && answer.verdict.verdict === 'trace')
          this.#asked.push({ type: 'scope-gone', scopeLo: message.scopeLo, scopeHi: message.scopeHi });
      }
    };
    new Pump(this.#options, {
      ...stages,
      ring: new RingReader(this.#ring),
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
  return makePumpOptions({
    ringBytes: RING_BYTES,
    requestBytesMax: REQUEST_BYTES,
    requestSpansMax: 16,
    buffersMax: BUFFERS,
    containersMax: CONTAINERS_MAX,
    waitingRecordsMax: RECORDS_WAITING_MAX,
    attributes: 'standard',
    spanNamesMax: 5,
    ...options,
  });
}
