// Runs the real pump over a ring in memory, and prints the heap bytes that each batch of records cost. Started
// with a young generation so large that nothing is collected meanwhile: the heap's growth is what was allocated.
// With `allocate` as argument, a stage makes one small object per record: what the measure must notice.
import { getHeapStatistics } from 'node:v8';
import { checkRecord } from '../../src/decode/check-record.ts';
import { OpenRequest } from '../../src/encode/request.ts';
import { SpanArena } from '../../src/encode/span-arena.ts';
import { ScopeTable } from '../../src/enrich/scope-table.ts';
import { WaitingArea } from '../../src/enrich/waiting-area.ts';
import { PairSampler } from '../../src/filter/pair-sampler.ts';
import { COUNTER_BLOCK_BYTES, readCounters } from '../../src/model/counters.ts';
import { LiveTraces } from '../../src/group/live-traces.ts';
import type { FromPump, PumpOptions, ToPump } from '../../src/model/pump-messages.ts';
import { samplingBlockBytes } from '../../src/model/sampling-words.ts';
import { slotCountBytes } from '../../src/model/slot-counts.ts';
import type { RecordCursor } from '../../src/model/record-cursor.ts';
import { Pump } from '../../src/pump/pump.ts';
import { readClock, Waiter } from '../../src/ring/libc.ts';
import { WallClock } from '../../src/ring/wall-clock.ts';
import { RingReader } from '../../src/ring/ring-reader.ts';
import { createTestRing, eventfd, pairRecord, wake } from './ring-memory.ts';

const RING_BYTES = 1 << 20;
const CONTAINERS = 16;
/** Batches before the measured ones: until the compiler is done with the hot path. */
const BATCHES_WARM = 6;
const BATCHES_MEASURED = 3;
const ROUNDS_PER_BATCH = 50;
const DISCARDED = 0x40000000;

const ring = createTestRing(RING_BYTES);
const producerPosition = new BigUint64Array(ring.producer, 0, 1);
const recordsPerRound = fillRing();
const eventFd = eventfd(0, 0) as number;
const counters = new SharedArrayBuffer(COUNTER_BLOCK_BYTES);
const options: PumpOptions = {
  ringFd: -1,
  consumerAddress: ring.consumerAddress,
  producerAddress: ring.producerAddress,
  ringBytes: RING_BYTES,
  eventFd,
  counters,
  slotCounts: new SharedArrayBuffer(slotCountBytes(65)),
  sampling: new SharedArrayBuffer(samplingBlockBytes(65)),
  bootIdLo: 1,
  bootIdHi: 2,
  requestBytesMax: 2 << 20,
  requestSpansMax: 2048,
  requestAgeMaxMs: 60_000,
  buffers: Array.from({ length: 4 }, () => new SharedArrayBuffer(2 << 20)),
  containersMax: 64,
  waitingRecordsMax: 1000,
  attributes: 'full',
  spanName: 'template',
  spanNamesMax: 200,
  scopeVersion: '1.2.3',
  traceGroupBy: 'process',
  sliceMs: 15_000,
  sliceSpansMax: 1000,
};

/** Fills the whole ring once; it is then read again and again, as the reader changes no record. */
function fillRing(): number {
  let count = 0;
  let seed = 1;
  const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0);
  while (Number(producerPosition[0]) < RING_BYTES - 1024) {
    const path = count % 10 === 9 ? '/usr/lib/x.so' : `/var/data-é/${random()}/${random().toString(16)}.log`;
    ring.write(
      pairRecord(count % 7 === 6 ? Buffer.from([0x2f, 0xff, 0x61]) : path, (view) => {
        for (let at = 8; at < 168; at += 4) view.setUint32(at, random(), true);
        view.setBigUint64(8, BigInt(count % CONTAINERS) + 100n, true);
        view.setBigUint64(16, 5_000_000_000n, true);
        view.setBigUint64(24, 7_000_000_000n, true);
        view.setBigUint64(40, BigInt(count % 50), true);
        view.setBigUint64(48, 5_000_000_000n, true);
        view.setInt32(124, count % 11 === 10 ? -13 : count % 100, true);
        view.setUint32(128, count % 3, true);
      }),
    );
    count += 1;
  }
  const restBytes = RING_BYTES - Number(producerPosition[0]) - 8;
  ring.write(new Uint8Array(restBytes), (restBytes | DISCARDED) >>> 0);
  return count;
}

const messages: ToPump[] = [];
for (let slot = 0; slot < CONTAINERS; slot += 1) {
  const resourceBytes = new Uint8Array(0);
  messages.push({ type: 'container', update: { slot, resourceBytes, namespaces: new Uint32Array(7) } });
  messages.push({
    type: 'scope',
    verdict: { scopeLo: 100 + slot, scopeHi: 0, verdict: 'trace', slot },
  });
}

const bytesPerRecord: number[] = [];
let roundsLeft = ROUNDS_PER_BATCH;
let batch = 0;
let usedBytes = 0;

/** Asked once a turn, after what was in the ring has been read. */
function receive(): ToPump | undefined {
  const message = messages.shift();
  if (message !== undefined) return message;
  if (!isRingRead()) return undefined;
  if (roundsLeft === 0) endBatch();
  if (batch === BATCHES_WARM + BATCHES_MEASURED) return stopOnce();
  roundsLeft -= 1;
  Atomics.add(producerPosition, 0, BigInt(RING_BYTES));
  wake(eventFd);
  return undefined;
}

let isStopped = false;
function stopOnce(): ToPump | undefined {
  if (isStopped) return undefined;
  isStopped = true;
  return { type: 'stop' };
}

let isStarted = false;
function isRingRead(): boolean {
  if (!isStarted) {
    // The first round is the one that was written.
    isStarted = true;
    roundsLeft -= 1;
    usedBytes = getHeapStatistics().used_heap_size;
    return false;
  }
  return reader.fillBytes() === 0;
}

function endBatch(): void {
  const usedNow = getHeapStatistics().used_heap_size;
  if (batch >= BATCHES_WARM)
    bytesPerRecord.push((usedNow - usedBytes) / (ROUNDS_PER_BATCH * recordsPerRound));
  (globalThis as unknown as { gc: () => void }).gc();
  usedBytes = getHeapStatistics().used_heap_size;
  batch += 1;
  roundsLeft = ROUNDS_PER_BATCH;
}

function post(message: FromPump): void {
  if (message.type === 'request') messages.push({ type: 'buffer', index: message.index });
}

const kept: { cursor: RecordCursor | null } = { cursor: null };
let lastMade: object = kept;
function checkAndAllocate(cursor: RecordCursor): number {
  lastMade = { cursor };
  return checkRecord(cursor);
}

const reader = new RingReader(ring);
const request = new OpenRequest(options);
const sealed = options.buffers.map((buffer) => new SpanArena(Buffer.from(buffer)));
const pump = new Pump(options, {
  ring: reader,
  waiter: new Waiter(-1, eventFd),
  clock: new WallClock(readClock),
  check: process.argv.includes('allocate') ? checkAndAllocate : checkRecord,
  scopes: new ScopeTable(1024),
  waiting: new WaitingArea(options.waitingRecordsMax),
  traces: new LiveTraces(options),
  sampler: new PairSampler(options.sampling),
  request,
  sealInto: (index) => request.seal(sealed[index]),
  receive,
  post,
});
pump.run();
process.stdout.write(
  JSON.stringify({
    bytesPerRecord,
    recordsPerBatch: ROUNDS_PER_BATCH * recordsPerRound,
    batches: BATCHES_WARM + BATCHES_MEASURED,
    counters: readCounters(new Float64Array(counters)),
    isAllocating: lastMade !== kept,
  }),
);
