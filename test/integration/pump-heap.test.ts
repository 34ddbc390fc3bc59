// The hot path makes no garbage: a collection would stall the pump while the ring fills.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

/** What a request, a turn and a drain allocate, spread over their records; the smallest object is 12 bytes. */
const BYTES_PER_RECORD_MAX = 4;
const OBJECT_BYTES_MIN = 12;
const RUN = join(import.meta.dirname, '../helpers/pump-heap.ts');

interface HeapReport {
  readonly bytesPerRecord: readonly number[];
  readonly recordsPerBatch: number;
  readonly batches: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly isAllocating: boolean;
}

function measure(...args: readonly string[]): HeapReport {
  const flags = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];
  const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, RUN, ...args], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as HeapReport;
}

test('from the ring to the sealed request no record allocates', () => {
  const { bytesPerRecord, recordsPerBatch, batches, counters } = measure();
  assert.ok(recordsPerBatch > 100_000);
  assert.equal(counters.records_read, recordsPerBatch * batches);
  assert.equal(counters.spans_encoded, counters.records_read);
  for (const bytes of bytesPerRecord) {
    // A collection in between would make it negative, and the measure worthless.
    assert.ok(bytes > 0 && bytes < BYTES_PER_RECORD_MAX, `${bytesPerRecord.join(', ')} bytes per record`);
  }
});

test('one small object per record would be noticed', () => {
  const { bytesPerRecord, isAllocating } = measure('allocate');
  assert.ok(isAllocating);
  for (const bytes of bytesPerRecord)
    assert.ok(bytes >= OBJECT_BYTES_MIN, `${bytesPerRecord.join(', ')} bytes per record`);
});
