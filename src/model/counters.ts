// The counters of the user-space stages in one shared block, so that pump and main thread count
// without messages. Each is 64 bits wide, only grows, and has one writer thread.

/** Names as in the documents; the index is the counter's place in the block. */
export const COUNTER_NAMES = [
  // Written by the pump.
  'records_read',
  'spans_encoded',
  'record_invalid',
  'unjudged_overflow',
  'container_denied',
  'rate_limited',
  'unsampled_late',
  'encode_failed',
  'bytes_encoded',
  'requests_sealed',
  'drains',
  'pump_stalls',
  'traces_begun',
  'process_spans_encoded',
  'slice_records_overflow',
  'traces_evicted',
  'held_spans_read',
  'held_spans_encoded',
  'held_spans_filtered',
  'scopes_full',
  'scope_records_lost',
  // Written by the main thread.
  'spans_accepted',
  'queue_full',
  'rejected',
  'retries_exhausted',
  'shutdown',
  'spool_damaged',
  'requests_sent',
  'requests_retried',
  'bytes_sent',
  'process_spans_accepted',
  'process_spans_dropped',
  'held_spans_accepted',
  'held_spans_dropped',
  'spool_recovered',
  'process_spans_recovered',
  'held_spans_recovered',
] as const;

export type CounterName = (typeof COUNTER_NAMES)[number];

/** Gauges of the pump that the law needs besides its counters; the latest value, not a sum. */
export const GAUGE_NAMES = [
  'waiting',
  'live_traces',
  'pump_turned_ms',
  'ring_fill_bytes',
  // Records about scopes that the pump has posted, and that the main thread has taken.
  'scope_records_posted',
  'scope_records_taken',
] as const;
export type GaugeName = (typeof GAUGE_NAMES)[number];

/** Bytes of a block that holds every counter and gauge as one float64 each (exact up to 2^53). */
export const COUNTER_BLOCK_BYTES = 8 * (COUNTER_NAMES.length + GAUGE_NAMES.length);

/** Returns the index of a counter in the block, for code that counts on the hot path. */
export function counterIndex(name: CounterName): number {
  return COUNTER_NAMES.indexOf(name);
}

/** Returns the index of a gauge in the block. */
export function gaugeIndex(name: GaugeName): number {
  return COUNTER_NAMES.length + GAUGE_NAMES.indexOf(name);
}

/** Returns every counter and gauge by name. A read while the pump counts may be one drain behind. */
export function readCounters(block: Float64Array): Record<CounterName | GaugeName, number> {
  const values = {} as Record<CounterName | GaugeName, number>;
  COUNTER_NAMES.forEach((name, index) => (values[name] = block[index]));
  GAUGE_NAMES.forEach((name) => (values[name] = block[gaugeIndex(name)]));
  return values;
}
