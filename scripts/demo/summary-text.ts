// fdspan's summary line as a person reads it.
import { DROPS } from '../../src/telemetry/summary.ts';

interface LogLine {
  readonly msg?: string;
  readonly counters?: Readonly<Record<string, number>>;
}

/** Counters that are told first, in the order of the stages, with words for them. */
const SHOWN: readonly (readonly [string, string])[] = [
  ['opens_in_scope', 'opens in the container'],
  ['pairs_finished', 'pairs finished'],
  ['records_read', 'records read'],
  ['spans_encoded', 'spans encoded'],
  ['spans_accepted', 'spans accepted by the backend'],
  ['process_spans_accepted', 'roots of traces accepted'],
];

const DROPPED = new Set(['ring_unread', ...DROPS.map(({ reason }) => reason)]);

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return {};
  }
}

function row(label: string, value: number): string {
  return `  ${label.padEnd(32)}${value.toLocaleString('en').padStart(12)}`;
}

/** Returns the summary among the log lines as a table; says so when there is none. */
export function summaryText(lines: readonly string[]): string {
  const counters = lines.map(parseLine).findLast(({ msg }) => msg === 'summary')?.counters;
  if (counters === undefined) return `no summary; the last lines were:\n${lines.slice(-5).join('\n')}`;
  const shown = SHOWN.map(([name, label]) => row(label, counters[name] ?? 0));
  const drops = Object.entries(counters).filter(([name, value]) => DROPPED.has(name) && value > 0);
  const dropped =
    drops.length === 0 ? [row('dropped', 0)] : drops.map(([name, value]) => row(`dropped: ${name}`, value));
  return ['summary', ...shown, ...dropped].join('\n');
}
