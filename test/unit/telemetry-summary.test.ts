import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNTER_NAMES } from '../../src/model/counters.ts';
import { DROPS, lawViolations, summarize } from '../../src/telemetry/summary.ts';

const kernel = {
  opens_in_scope: 1050,
  opens_tracked: 950,
  unsampled: 60,
  open_table_full: 40,
  pairs_finished: 940,
  unsampled_finished: 3,
  ring_full: 100,
  path_excluded: 30,
  process_excluded: 10,
  too_short: 50,
};
const shared = {
  records_read: 727,
  spans_encoded: 700,
  container_denied: 4,
  rate_limited: 6,
  unsampled_late: 1,
  unjudged_overflow: 5,
  record_invalid: 2,
  encode_failed: 3,
  waiting: 6,
  spans_accepted: 600,
  queue_full: 20,
  rejected: 10,
  retries_exhausted: 5,
  shutdown: 25,
  spool_damaged: 1,
  spool_recovered: 10,
  pump_turned_ms: 12345,
  ring_fill_bytes: 77,
};
const amounts = {
  stillOpen: 10,
  ringUnread: 20,
  inFlight: 9,
  spooled: { spans: 40, processSpans: 0, heldSpans: 0 },
};

test('a run in which every loss was counted violates no equation', () => {
  assert.deepEqual(lawViolations(summarize(kernel, shared, amounts)), []);
});

test('the summary is flat, with the amounts and without gauges of a moment', () => {
  const counters = summarize(kernel, shared, amounts);
  assert.equal(counters.still_open, 10);
  assert.equal(counters.in_flight, 9);
  assert.equal(counters.pump_turned_ms, undefined);
  assert.ok(Object.values(counters).every((value) => typeof value === 'number'));
});

test('what the kernel and the pump count under one name is added', () => {
  const counters = summarize({ ...kernel, scope_records_lost: 3 }, { scope_records_lost: 4 }, amounts);
  assert.equal(counters.scope_records_lost, 7);
});

const balanced = summarize(kernel, shared, amounts);
for (const [name, equations] of [
  ['opens_in_scope', 1],
  ['opens_tracked', 2],
  ['pairs_finished', 2],
  ['records_read', 2],
  ['spans_encoded', 2],
  ['spans_accepted', 1],
  ['ring_unread', 1],
  ['waiting', 1],
  ['spool_recovered', 1],
  ...DROPS.map(({ reason }) => [reason, 1] as const),
] as const) {
  test(`one uncounted ${name} breaks ${equations} of the six equations, and is told with the difference`, () => {
    const violations = lawViolations({ ...balanced, [name]: balanced[name] + 1 });
    assert.equal(violations.length, equations);
    for (const violation of violations) assert.match(violation, new RegExp(`${name} \\d+.*off by -?1$`));
  });
}

test('every drop of the shared counters is in the table of drops', () => {
  const notDrops = new Set([
    'records_read',
    'spans_encoded',
    'bytes_encoded',
    'requests_sealed',
    'drains',
    'pump_stalls',
    'spans_accepted',
    'requests_sent',
    'requests_retried',
    'bytes_sent',
    'traces_begun',
    'process_spans_encoded',
    'slice_records_overflow',
    'process_spans_accepted',
    'process_spans_dropped',
    'traces_evicted',
    'held_spans_read',
    'held_spans_encoded',
    'held_spans_filtered',
    // Of groups, not of pairs.
    'scopes_full',
    'scope_records_lost',
    'held_spans_accepted',
    'held_spans_dropped',
    'spool_recovered',
    'process_spans_recovered',
    'held_spans_recovered',
  ]);
  const reasons = new Set(DROPS.map(({ reason }) => reason));
  assert.deepEqual(
    COUNTER_NAMES.filter((name) => !notDrops.has(name) && !reasons.has(name)),
    [],
  );
});
