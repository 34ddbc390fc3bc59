// The counters of all stages under the names of the documents, flat, and the law of conservation over
// them: what must hold once the collector has stopped. Pure; the roots bring the numbers.

import type { SpanCounts } from '../model/span-counts.ts';

/** Every counter by its name. A name that is missing counts as 0. */
export type Counters = Readonly<Record<string, number>>;

/** What is neither the kernel's nor the shared block's: amounts at this moment. */
export interface Amounts {
  /** Opens in the kernel's table that have not ended. */
  readonly stillOpen: number;
  /** Records that the ring held when it was unmapped. */
  readonly ringUnread: number;
  /** Spans encoded, but neither accepted nor dropped nor spooled. */
  readonly inFlight: number;
  /** On the disk, for this run or the next. */
  readonly spooled: SpanCounts;
}

/** Filters that the kernel asks itself: it finishes such a pair without a record. */
export const KERNEL_DROPS = ['path_excluded', 'process_excluded', 'too_short'] as const;
export const FILTER_DROPS = ['container_denied', 'rate_limited', 'unsampled_late'] as const;
/** Drawn at the open, and dropped by the kernel at the end. */
export const SAMPLING_DROPS = ['unsampled_finished'] as const;
export const EXPORT_DROPS = [
  'queue_full',
  'rejected',
  'retries_exhausted',
  'shutdown',
  'spool_damaged',
] as const;

export interface Drop {
  readonly stage: 'kernel' | 'decode' | 'enrich' | 'filter' | 'encode' | 'export';
  readonly reason: string;
}

/**
 * Every way to lose a record or span, by the stage that counts it. `ring_unread` isn't among them: while
 * the collector runs it is what the next drain takes, and only after a stop a loss.
 */
export const DROPS: readonly Drop[] = [
  { stage: 'kernel', reason: 'unsampled' },
  { stage: 'kernel', reason: 'open_table_full' },
  { stage: 'kernel', reason: 'ring_full' },
  ...SAMPLING_DROPS.map((reason) => ({ stage: 'kernel', reason }) as const),
  { stage: 'decode', reason: 'record_invalid' },
  { stage: 'enrich', reason: 'unjudged_overflow' },
  ...[...KERNEL_DROPS, ...FILTER_DROPS].map((reason) => ({ stage: 'filter', reason }) as const),
  { stage: 'encode', reason: 'encode_failed' },
  ...EXPORT_DROPS.map((reason) => ({ stage: 'export', reason }) as const),
];

/** Gauges of the shared block that describe a moment, and would only mislead in a summary. */
const MOMENTS = new Set(['pump_turned_ms', 'ring_fill_bytes', 'scope_records_posted', 'scope_records_taken']);

/**
 * Puts the kernel's counters (by name), those of the shared block (`readCounters`) and the amounts of
 * this moment into one flat object. What several stages count under one name is added.
 */
export function summarize(kernel: Counters, shared: Counters, amounts: Amounts): Record<string, number> {
  const counters: Record<string, number> = { ...kernel };
  for (const [name, value] of Object.entries(shared)) {
    if (!MOMENTS.has(name)) counters[name] = (kernel[name] ?? 0) + value;
  }
  counters.still_open = amounts.stillOpen;
  counters.ring_unread = amounts.ringUnread;
  counters.in_flight = amounts.inFlight;
  counters.spooled = amounts.spooled.spans;
  counters.process_spans_spooled = amounts.spooled.processSpans;
  counters.held_spans_spooled = amounts.spooled.heldSpans;
  return counters;
}

interface Equation {
  readonly left: readonly string[];
  readonly right: readonly string[];
}

const LAW: readonly Equation[] = [
  { left: ['opens_in_scope'], right: ['opens_tracked', 'unsampled', 'open_table_full'] },
  { left: ['opens_tracked'], right: ['pairs_finished', 'still_open'] },
  {
    left: ['pairs_finished'],
    right: ['records_read', 'ring_full', 'ring_unread', ...KERNEL_DROPS, ...SAMPLING_DROPS],
  },
  {
    left: ['records_read'],
    right: [
      'spans_encoded',
      ...FILTER_DROPS,
      'unjudged_overflow',
      'record_invalid',
      'encode_failed',
      'waiting',
    ],
  },
  {
    left: ['spans_encoded', 'spool_recovered'],
    right: ['spans_accepted', ...EXPORT_DROPS, 'in_flight', 'spooled'],
  },
  // Roots of traces are counted apart from files.
  { left: ['traces_begun'], right: ['process_spans_encoded', 'live_traces'] },
  {
    left: ['process_spans_encoded', 'process_spans_recovered'],
    right: ['process_spans_accepted', 'process_spans_dropped', 'process_spans_spooled'],
  },
  // So are reports of files that are still open.
  { left: ['held_spans_sent'], right: ['held_spans_read'] },
  { left: ['held_spans_read'], right: ['held_spans_encoded', 'held_spans_filtered'] },
  {
    left: ['held_spans_encoded', 'held_spans_recovered'],
    right: ['held_spans_accepted', 'held_spans_dropped', 'held_spans_spooled'],
  },
];

function sum(counters: Counters, names: readonly string[]): number {
  return names.reduce((total, name) => total + (counters[name] ?? 0), 0);
}

function stated(counters: Counters, names: readonly string[]): string {
  return names.map((name) => `${name} ${counters[name] ?? 0}`).join(' + ');
}

/**
 * Returns each equation of the law of conservation that doesn't hold, with its numbers; empty when all
 * hold. While the collector runs, the stages are read at different moments: only a stop is exact.
 */
export function lawViolations(counters: Counters): string[] {
  const violations: string[] = [];
  for (const { left, right } of LAW) {
    const difference = sum(counters, left) - sum(counters, right);
    if (difference === 0) continue;
    violations.push(`${stated(counters, left)} = ${stated(counters, right)} is off by ${difference}`);
  }
  return violations;
}
