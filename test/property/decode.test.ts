// Stages ring and decode on any bytes: nothing throws, and nothing is read that isn't the record's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeScopeRecord } from '../../src/containers/scope-records.ts';
import { checkRecord } from '../../src/decode/check-record.ts';
import { AttributeBlocks } from '../../src/encode/attribute-blocks.ts';
import { TraceCursor } from '../../src/model/trace-cursor.ts';
import { SpanArena } from '../../src/encode/span-arena.ts';
import { SPAN_BYTES_MAX, SpanEncoder } from '../../src/encode/span-encoder.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import { RingReader } from '../../src/ring/ring-reader.ts';
import {
  BUSY,
  DISCARDED,
  expectedKind,
  isDecodable,
  KINDS,
  record,
  wholeRecord,
} from '../helpers/odd-records.ts';
import { createTestRing } from '../helpers/ring-memory.ts';

const RING_BYTES = 4096;
const PAGE_BYTES = 4096;

/** Lets only the record's own bytes be read; asking for any other index throws. */
function guarded<T extends Uint8Array | Uint32Array>(memory: T, begin: number, end: number): T {
  return new Proxy(memory, {
    get(target, key) {
      const index = typeof key === 'string' ? Number(key) : NaN;
      if (Number.isNaN(index)) return Reflect.get(target, key) as unknown;
      if (index < begin || index >= end) throw new Error(`index ${index} is outside [${begin}, ${end})`);
      return target[index];
    },
  });
}

/** Puts a record between other bytes; reading those throws. */
function guardedCursor(bytes: Uint8Array, placesBefore: number): RecordCursor {
  const cursor = new RecordCursor();
  const offset = 8 * placesBefore;
  const memory = new Uint8Array((offset + bytes.length + 15) & ~7).fill(0x2f);
  memory.set(bytes, offset);
  cursor.bytes = guarded(memory, offset, offset + bytes.length);
  // A word that a record's end cuts isn't whole: no field lies in it.
  cursor.words = guarded(new Uint32Array(memory.buffer), offset / 4, (offset + bytes.length) >>> 2);
  cursor.offset = offset;
  cursor.length = bytes.length;
  return cursor;
}

test('any bytes are a record exactly when bpf/record.h says so, and only they are read', () => {
  const seen = new Set<number>();
  fc.assert(
    fc.property(record, fc.nat({ max: 3 }), (bytes, placesBefore) => {
      const kind = checkRecord(guardedCursor(bytes, placesBefore));
      assert.equal(kind, expectedKind(bytes));
      seen.add(kind);
    }),
    { numRuns: 5000 },
  );
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
});

for (const attributes of ['lean', 'standard', 'full'] as const)
  test(`a pair that decode takes is encoded from its own bytes alone, ${attributes}`, () => {
    const arena = new SpanArena(Buffer.alloc(SPAN_BYTES_MAX));
    const encoder = new SpanEncoder(
      { attributes, spanName: 'template', spanNamesMax: 0, containersMax: 1 },
      arena,
      new AttributeBlocks(),
    );
    const trace = new TraceCursor();
    fc.assert(
      fc.property(fc.oneof(record, wholeRecord), fc.nat({ max: 3 }), (bytes, placesBefore) => {
        const cursor = guardedCursor(bytes, placesBefore);
        if (checkRecord(cursor) !== KINDS.pair) return fc.pre(false);
        arena.position = 0;
        encoder.write(cursor, 1, new Uint32Array(14).fill(1), trace);
        assert.ok(arena.position <= SPAN_BYTES_MAX);
      }),
      { numRuns: 150 },
    );
  });

test('any bytes are a record of a scope or null, and only they are read', () => {
  fc.assert(
    fc.property(record, fc.nat({ max: 40 }), fc.uint8Array({ maxLength: 8 }), (bytes, before, around) => {
      const inside = new Uint8Array(before + bytes.length + around.length).fill(around[0] ?? 0);
      inside.set(bytes, before);
      const decoded = decodeScopeRecord(inside.subarray(before, before + bytes.length));
      assert.deepEqual(decoded, decodeScopeRecord(Uint8Array.from(bytes)));
      const types = [null, null, 'created', 'removed', 'described', 'met', null];
      assert.equal(decoded?.type ?? null, isDecodable(bytes) ? types[expectedKind(bytes)] : null);
    }),
    { numRuns: 5000 },
  );
});

test('the walk over a ring of any bytes ends, and gives only memory between the two positions', () => {
  const words = fc.uint8Array({ minLength: 4, maxLength: RING_BYTES });
  const position = fc.oneof(fc.nat({ max: RING_BYTES }), fc.integer({ min: 0xfffff000, max: 0xffffffff }));
  const unread = fc.oneof(fc.nat({ max: RING_BYTES }), fc.nat({ max: 0xffffffff }));
  const header = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 0xffffffff }));
  fc.assert(
    fc.property(words, position, unread, fc.array(header), (fill, consumed, unreadBytes, headers) => {
      const begin = (consumed & ~7) >>> 0;
      const memory = {
        consumer: new ArrayBuffer(PAGE_BYTES),
        producer: new ArrayBuffer(PAGE_BYTES + 2 * RING_BYTES),
        ringBytes: RING_BYTES,
      };
      const data = Buffer.from(memory.producer, PAGE_BYTES, 2 * RING_BYTES);
      data.fill(fill);
      let at = begin % RING_BYTES;
      for (const word of headers) {
        data.writeUInt32LE(word, at % RING_BYTES);
        at += ((word & 0x3fffffff) + 15) & ~7;
      }
      new BigUint64Array(memory.consumer)[0] = BigInt(begin);
      new BigUint64Array(memory.producer, 0, 1)[0] = BigInt(begin) + BigInt(unreadBytes);
      const reader = new RingReader(memory);
      const cursor = new RecordCursor();
      let walkedBytes = 0;
      while (reader.next(cursor)) {
        assert.ok(cursor.offset >= 8 && cursor.offset + cursor.length <= 2 * RING_BYTES);
        walkedBytes += 8 + cursor.length;
        assert.ok(walkedBytes <= unreadBytes, 'more was walked than was written');
      }
      reader.release();
      const released = new BigUint64Array(memory.consumer)[0] - BigInt(begin);
      assert.ok(released <= BigInt(unreadBytes));
      assert.equal(reader.fillBytes(), unreadBytes - Number(released));
    }),
    { numRuns: 2000 },
  );
});

test('a ring gives what was written, in order, without what was discarded, up to the first busy record', () => {
  const ring = createTestRing(RING_BYTES);
  const consumerPosition = new BigUint64Array(ring.consumer, 0, 1);
  const producerPosition = new BigUint64Array(ring.producer, 0, 1);
  const written = fc.record({
    bytes: fc.uint8Array({ maxLength: 300 }),
    mark: fc.constantFrom(0, 0, 0, 0, DISCARDED, BUSY),
  });
  const start = fc.oneof(fc.nat({ max: 1023 }), fc.integer({ min: 0x1fffff00, max: 0x20000100 }));
  fc.assert(
    fc.property(fc.array(written, { maxLength: 12 }), start, (records, startPlaces) => {
      consumerPosition[0] = producerPosition[0] = BigInt(startPlaces) * 8n;
      const reader = new RingReader(ring);
      for (const { bytes, mark } of records) ring.write(bytes, (bytes.length | mark) >>> 0);
      const cursor = new RecordCursor();
      const read: number[][] = [];
      while (reader.next(cursor))
        read.push([...cursor.bytes.subarray(cursor.offset).subarray(0, cursor.length)]);
      const busyAt = records.findIndex(({ mark }) => mark === BUSY);
      const finished = busyAt < 0 ? records : records.slice(0, busyAt);
      assert.deepEqual(
        read,
        finished.filter(({ mark }) => mark === 0).map(({ bytes }) => [...bytes]),
      );
      assert.equal(reader.isDamaged, false);
      reader.release();
      const finishedBytes = finished.reduce((sum, { bytes }) => sum + ((bytes.length + 15) & ~7), 0);
      assert.equal(consumerPosition[0], BigInt(startPlaces) * 8n + BigInt(finishedBytes));
    }),
    { numRuns: 1000 },
  );
});
