// Writes docs/metrics.md: every metric that fdspan tells of itself, from the lists that make them. `--check` compares instead of
// writing.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { COUNTERS, GAUGES, type Instrument } from '../src/telemetry/instrument-list.ts';
import { DROPS } from '../src/telemetry/summary.ts';

/** What users may do about each, where they may. */
const MEANINGS: Readonly<Record<string, string>> = {
  unsampled: 'opens that sampling left out at the open',
  open_table_full: 'opens that the pending table had no place for: raise `limits.open_files`',
  ring_full:
    'pairs that the ring had no place for: raise `limits.ring`, give fdspan more CPU, lower `sampling.target.host`',
  unsampled_finished: 'pairs that sampling left out, and that no class of `sampling.keep` kept at their end',
  record_invalid: 'records that are not what the kernel writes: a bug',
  unjudged_overflow: 'records that waited for a verdict on their container: raise `limits.waiting_records`',
  path_excluded: '`files.exclude`, `files.include`',
  process_excluded: '`processes.exclude`',
  too_short: '`spans.min_duration`',
  container_denied: '`containers.allow`, `containers.deny`, or no container',
  rate_limited: '`sampling.limit.host`',
  unsampled_late: 'pairs of a container that was not known at their open, drawn in user space',
  encode_failed: 'spans that did not fit into a request: a bug',
  queue_full:
    'spans of the oldest requests, when the queue (and the spool, where there is one) is full: the backend takes too little',
  rejected: 'spans that the backend refused for good: the log has its reason',
  retries_exhausted: 'spans that were tried for too long; by default fdspan never gives up',
  shutdown: 'spans that a stop could neither send nor spool',
  spool_damaged: 'spans of stored requests that were torn or damaged',
};

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function table(instruments: readonly Instrument[], prometheusOf: (name: string) => string): string[] {
  const rows = instruments.map(({ name, unit, description }) =>
    row(`\`${name}\``, `\`${prometheusOf(name)}\``, unit, description),
  );
  return [
    row('Metric', 'For Prometheus', 'Unit', 'Tells'),
    row('---', '---', '---', '---'),
    ...rows.toSorted(),
  ];
}

function meaningOf(reason: string): string {
  const meaning = MEANINGS[reason];
  if (meaning === undefined) throw new Error(`scripts/generate-metrics-page.ts: say what ${reason} means`);
  return meaning;
}

const inText = (name: string): string => name.replaceAll('.', '_');
const lines = [
  '# Metrics',
  '',
  'Made by `npm run generate` from `src/telemetry/instrument-list.ts` and `src/telemetry/summary.ts`. How they are had, what else there is',
  'and which matter: [Operating](operating.md#metrics-and-health). Those of containers: [Data model](data-model.md).',
  '',
  '## What is lost or left out',
  '',
  '`fdspan.drops` (`fdspan_drops_total`), by `fdspan.stage` and `fdspan.reason`; in the summary and in `fdspan status` each reason is a counter.',
  '',
  row('Stage', 'Reason', 'What'),
  row('---', '---', '---'),
  ...DROPS.map(({ stage, reason }) => row(stage, `\`${reason}\``, meaningOf(reason))),
  '',
  '## Counters',
  '',
  'They only grow. In the summary they have the name behind `fdspan.`.',
  '',
  ...table(COUNTERS, (name) => `${inText(name)}_total`),
  '',
  '## Amounts of now',
  '',
  ...table(GAUGES, inText),
  '',
];
const target = fileURLToPath(new URL('../docs/metrics.md', import.meta.url));
const text = lines.join('\n');
if (process.argv.includes('--check')) {
  if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
    process.stderr.write('docs/metrics.md differs from the lists of metrics: run `npm run generate`\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, text);
}
