import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceStatus } from '../../src/telemetry/service-status.ts';

function sample(atMs: number, counters: Record<string, number>, containers = 0) {
  return { atMs, counters, containers };
}

test('the rate is that between the looks', () => {
  const line = serviceStatus(
    sample(5_000, { spans_encoded: 100 }, 1),
    sample(15_000, { spans_encoded: 1_335 }, 2),
  );
  assert.equal(line, '123.5 spans/s, no drops, 2 containers');
});

test('losses are summed and named, largest first', () => {
  const counters = { ring_full: 7, queue_full: 1_000, rejected: 1 };
  assert.equal(
    serviceStatus(sample(0, {}), sample(10_000, counters, 1)),
    '0.0 spans/s, 1008 drops (queue_full 1000, ring_full 7, rejected 1), 1 container',
  );
});

test('what a filter or sampling left out is no loss', () => {
  const counters = {
    unsampled: 5,
    path_excluded: 6,
    process_excluded: 3,
    too_short: 7,
    container_denied: 8,
    rate_limited: 9,
  };
  assert.equal(serviceStatus(sample(0, {}), sample(10_000, counters)), '0.0 spans/s, no drops, 0 containers');
});

test('with every reason at its largest the line still has its end', () => {
  const names =
    'open_table_full ring_full record_invalid unjudged_overflow encode_failed queue_full rejected retries_exhausted shutdown spool_damaged';
  const huge = Object.fromEntries(names.split(' ').map((name) => [name, Math.floor(2 ** 53 / 10)]));
  const line = serviceStatus(sample(0, {}), sample(0, { ...huge, spans_encoded: 2 ** 53 - 1 }, 4_096));
  assert.match(line, /, 4096 containers$/);
  assert.ok(line.length <= 200, `${line.length} characters: ${line}`);
});
