// What `systemctl status` shows of a running collector: one line of rates, from two looks at the counters.
// Pure; sd-notify.ts sends it.
import { DROPS, type Counters } from './summary.ts';

/** The counters at one moment. */
export interface StatusSample {
  /** Milliseconds of a clock that isn't stepped. */
  readonly atMs: number;
  readonly counters: Counters;
  readonly containers: number;
}

/** Reason: the line is cut at 200 characters; whoever wants all of them asks `fdspan status`. */
const REASONS_MAX = 3;

/** Losses only: what a filter or sampling leaves out was asked for. */
const LOSSES = DROPS.filter(({ stage, reason }) => stage !== 'filter' && !reason.startsWith('unsampled')).map(
  ({ reason }) => reason,
);

/** Writes the line: the rate between the looks, all losses so far with the largest by name, containers. */
export function serviceStatus(before: StatusSample, now: StatusSample): string {
  const seconds = Math.max(now.atMs - before.atMs, 1) / 1000;
  const rate = (valueOf(now, 'spans_encoded') - valueOf(before, 'spans_encoded')) / seconds;
  return `${rate.toFixed(1)} spans/s, ${lossesOf(now)}, ${counted(now.containers, 'container')}`;
}

function valueOf(sample: StatusSample, name: string): number {
  return sample.counters[name] ?? 0;
}

function lossesOf(sample: StatusSample): string {
  const losses = LOSSES.map((reason) => ({ reason, count: valueOf(sample, reason) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
  const total = losses.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return 'no drops';
  const named = losses.slice(0, REASONS_MAX).map(({ reason, count }) => `${reason} ${count}`);
  if (losses.length > REASONS_MAX) named.push('…');
  return `${counted(total, 'drop')} (${named.join(', ')})`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
