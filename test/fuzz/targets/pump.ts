// The pump's whole path, from the ring to sealed requests, given records of any bytes and damaged real ones.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeScopeRecord } from '../../../src/containers/scope-records.ts';
import { encodeResource } from '../../../src/encode/resource.ts';
import type { ToPump } from '../../../src/model/pump-messages.ts';
import { damaged } from '../../helpers/damage.ts';
import {
  BUSY,
  DISCARDED,
  expectedKind,
  isDecodable,
  KINDS,
  record,
  wholeRecord,
} from '../../helpers/odd-records.ts';
import { assertWholeRequest, type RequestCounts } from '../../helpers/raw-request.ts';
import { readRecords } from '../../helpers/record-corpus.ts';
import {
  CONTAINERS_MAX,
  RingPump,
  type Counts,
  type RingPumpOptions,
  type WrittenRecord,
} from '../../helpers/ring-pump.ts';
import type { FuzzTarget } from '../fuzz.ts';

const HELD = 8;
const REDACTION = {
  rules: [
    { path: '/tmp/**', with: 'hash' as const },
    { path: '**/*secret*', with: 'mask' as const },
  ],
  key: new Uint8Array(16).fill(7),
};
const SET_UPS: readonly RingPumpOptions[] = [
  { attributes: 'lean', spanName: 'operation' },
  { attributes: 'standard', redaction: REDACTION },
  { attributes: 'full', hasIoTotals: true },
  { attributes: 'full', traceGroupBy: 'container' },
];

const CORPUS = readRecords();
/** Those of the first pairs: the others are met unjudged. */
const SCOPES = CORPUS.filter(([kind]) => kind === KINDS.pair)
  .slice(0, 12)
  .map((each) => Buffer.from(each).readBigUInt64LE(8));

const bytes = fc.oneof(
  { weight: 6, arbitrary: damaged(CORPUS) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(), damaged(CORPUS, 2)).map(([index, each]) => heldReport(each, index)),
  },
  { weight: 2, arbitrary: record },
  { weight: 2, arbitrary: wholeRecord },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
);
const written: fc.Arbitrary<WrittenRecord> = fc.oneof(
  { weight: 40, arbitrary: bytes.map((each) => ({ bytes: each })) },
  {
    weight: 1,
    arbitrary: fc.record({
      bytes,
      header: fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0, BUSY, DISCARDED, 1 << 18)),
    }),
  },
);
const slot = fc.nat({ max: CONTAINERS_MAX });
const message: fc.Arbitrary<ToPump> = fc.oneof(
  fc.record({ slot, name: fc.string({ unit: 'binary' }) }).map(({ slot: of, name }): ToPump => {
    const resourceBytes = encodeResource({ 'service.name': name });
    return { type: 'container', update: { slot: of, resourceBytes, name, namespaces: new Uint32Array(7) } };
  }),
  slot.map((of): ToPump => ({ type: 'container-gone', slot: of })),
  fc.constantFrom<ToPump>(
    { type: 'rate-limit', perSecond: 0 },
    { type: 'rate-limit', perSecond: 1 },
    { type: 'redaction', redaction: REDACTION },
    { type: 'redaction', redaction: undefined },
  ),
);

/** A report of an open file, of a container that has its verdict. */
function heldReport(pair: Buffer, index: number): Buffer {
  if (pair.length < 16) return pair;
  pair[0] = KINDS.pair;
  pair[1] = HELD;
  pair.writeBigUInt64LE(SCOPES[index % SCOPES.length], 8);
  return pair;
}

interface Input {
  readonly setUp: number;
  readonly records: readonly WrittenRecord[];
  readonly messages: readonly ToPump[];
}

/** Made when first asked for, and again after a failure, which may leave one in any state. */
const pumps = new Map<number, RingPump>();

function judge({ setUp, records, messages }: Input): string {
  const pump = pumps.get(setUp) ?? new RingPump(SET_UPS[setUp], SCOPES);
  pumps.delete(setUp);
  const { counters, requests, told, scopeRecords } = pump.run(records, messages);
  const counts = { files: 0, roots: 0, held: 0 };
  for (const request of requests) {
    const of = assertWholeRequest(request);
    for (const kind of Object.keys(counts) as (keyof RequestCounts)[]) counts[kind] += of[kind];
  }
  assertLaw(counters, counts);
  assert.deepEqual(told, { spans: counts.files, processSpans: counts.roots, heldSpans: counts.held });
  if (records.every(({ header }) => header === undefined)) assertKinds(records, counters, scopeRecords);
  for (const each of scopeRecords) assert.equal(decodeScopeRecord(each) !== null, isDecodable(each));
  pumps.set(setUp, pump);
  if (counts.files > 0) return 'spans';
  if (counts.held > 0) return 'reports of open files';
  if (counters.record_invalid > 0) return 'refused';
  return scopeRecords.length > 0 ? 'about containers' : 'left out';
}

/** The law of conservation from the ring to the request, as docs/architecture.md tells it. */
function assertLaw(counters: Counts, counts: RequestCounts): void {
  const drops = ['container_denied', 'rate_limited', 'unsampled_late', 'unjudged_overflow', 'record_invalid'];
  const sum = (names: readonly string[]): number => names.reduce((total, name) => total + counters[name], 0);
  assert.equal(counters.records_read, sum(['spans_encoded', 'encode_failed', ...drops]));
  assert.equal(counters.held_spans_read, sum(['held_spans_encoded', 'held_spans_filtered']));
  assert.equal(counters.traces_begun, counters.process_spans_encoded);
  assert.equal(counts.files, counters.spans_encoded);
  assert.equal(counts.held, counters.held_spans_encoded);
  assert.equal(counts.roots, counters.process_spans_encoded);
  assert.equal(counters.encode_failed, 0);
  for (const [name, grown] of Object.entries(counters)) {
    const isGauge = ['waiting', 'live_traces', 'pump_turned_ms', 'ring_fill_bytes'].includes(name);
    assert.ok(isGauge || grown >= 0, `${name} only grows`);
  }
}

/** Each record is counted once, as what bpf/record.h says that it is. */
function assertKinds(
  records: readonly WrittenRecord[],
  counters: Counts,
  scopeRecords: readonly Uint8Array[],
): void {
  const kinds = records.map(({ bytes: each }) => expectedKind(each));
  const held = records.filter(({ bytes: each }, index) => kinds[index] === KINDS.pair && each[1] === HELD);
  const pairs = kinds.filter((kind) => kind === KINDS.pair).length - held.length;
  const invalid = kinds.filter((kind) => kind === 0).length;
  const slices = kinds.filter((kind) => kind === KINDS.slice).length;
  assert.equal(counters.held_spans_read, held.length);
  assert.equal(counters.record_invalid, invalid);
  assert.equal(counters.records_read, pairs + invalid);
  assert.equal(scopeRecords.length, records.length - pairs - invalid - slices - held.length);
}

export const PUMP: FuzzTarget<Input> = {
  title: 'records of any bytes, and damaged real ones, through the whole pump',
  input: fc.record({
    setUp: fc.nat({ max: SET_UPS.length - 1 }),
    records: fc.array(written, { maxLength: 6 }),
    messages: fc.array(message, { maxLength: 1 }),
  }),
  judge,
  expected: ['spans', 'reports of open files', 'refused', 'about containers', 'left out'],
};
