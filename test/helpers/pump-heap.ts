// Runs the real pump over a ring in memory, and prints the heap bytes that each batch of records cost. Started
// with a young generation so large that nothing is collected meanwhile: the heap's growth is what was allocated.
// With `allocate` as argument, a stage makes one small object per record: what the measure must notice.
import { getHeapStatistics } from 'node:v8';
import { checkRecord } from '../../src/decode/check-record.ts';
import { readCounters } from '../../src/model/counters.ts';
import type { FromPump, ToPump } from '../../src/model/pump-messages.ts';
import type { RecordCursor } from '../../src/model/record-cursor.ts';
import { Pump } from '../../src/pump/pump.ts';
import { RingReader } from '../../src/ring/ring-reader.ts';
import { makePumpOptions, makePumpStages } from './pump-parts.ts';
import { createTestRing, pairRecord, wake } from './ring-memory.ts';

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
const options = makePumpOptions({
  consumerAddress: ring.consumerAddress,
  producerAddress: ring.producerAddress,
  ringBytes: RING_BYTES,
  requestBytesMax: 2 << 20,
  requestSpansMax: 2048,
  buffersMax: 4,
  waitingRecordsMax: 1000,
});

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
  wake(options.eventFd);
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
const pump = new Pump(options, {
  ...makePumpStages(options).stages,
  ring: reader,
  check: process.argv.includes('allocate') ? checkAndAllocate : checkRecord,
  receive,
  post,
});
pump.run();
process.stdout.write(
  JSON.stringify({
    bytesPerRecord,
    recordsPerBatch: ROUNDS_PER_BATCH * recordsPerRound,
    batches: BATCHES_WARM + BATCHES_MEASURED,
    counters: readCounters(new Float64Array(options.counters)),
    isAllocating: lastMade !== kept,
  }),
);
