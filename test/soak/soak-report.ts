// What a soak found, as a table, and as docs/soak.md.
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { markdownTable } from '../helpers/markdown-table.ts';
import type { Sample } from './samples.ts';
import type { SoakOptions, SoakResult } from './soak-run.ts';

export interface SoakReport {
  readonly options: SoakOptions;
  readonly result: SoakResult;
}

type Amounts = Omit<Sample, 'isUp' | 'seconds'>;

const PARTS = 5;
const COLUMNS: readonly (readonly [string, keyof Amounts, number])[] = [
  ['resident, MB', 'residentBytes', 1e6],
  ['heap, MB', 'heapBytes', 1e6],
  ['heap of the pump, MB', 'pumpHeapBytes', 1e6],
  ['buffers, MB', 'externalBytes', 1e6],
  ['queue, MiB', 'queueBytes', 1 << 20],
  ['spool, MiB', 'spoolBytes', 1 << 20],
  ['ring, KiB', 'ringFillBytes', 1 << 10],
  ['answer, ms', 'answerMs', 1],
];
/** Where what was opened and didn't arrive is told. */
const TOLD = [
  'opens_in_scope',
  'spans_encoded',
  'spans_accepted',
  'ring_full',
  'unjudged_overflow',
  'queue_full',
  'spooled',
  'requests_retried',
  'process_spans_encoded',
];

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? NaN;
}

/** Returns the medians of the run's fifths. */
export function fifthsOf(samples: readonly Sample[]): readonly Amounts[] {
  const seconds = Math.max(...samples.map((sample) => sample.seconds)) * 1.0001;
  return Array.from({ length: PARTS }, (_, part) => {
    const inside = samples.filter((sample) => Math.floor((PARTS * sample.seconds) / seconds) === part);
    const of = (name: keyof Amounts): [string, number] => [
      name,
      median(inside.map((sample) => sample[name])),
    ];
    const names = Object.keys(samples[0]).filter((name) => name !== 'isUp' && name !== 'seconds');
    return Object.fromEntries(names.map((name) => of(name as keyof Amounts))) as unknown as Amounts;
  });
}

/** Returns the medians of each fifth, and the most that was seen. */
export function tableOf({ result: { samples } }: SoakReport): string {
  const shown = (amounts: Amounts): string[] =>
    COLUMNS.map(([, name, unit]) => (amounts[name] / unit).toFixed(1));
  const most = Object.fromEntries(
    COLUMNS.map(([, name]) => [name, Math.max(...samples.map((sample) => sample[name]))]),
  ) as unknown as Amounts;
  return markdownTable(
    ['', ...COLUMNS.map(([title]) => title)],
    [
      ...fifthsOf(samples).map((amounts, part) => [`fifth ${part + 1}`, ...shown(amounts)]),
      ['most', ...shown(most)],
    ],
  );
}

function sectionOf(report: SoakReport): string {
  const { options, result } = report;
  const { counters, got, containers, outages, pairs } = result;
  const count = (number: number): string => number.toLocaleString('en-US');
  const mebibytes = (options.spoolBytes / (1 << 20)).toFixed(1);
  const store = options.spoolBytes === 0 ? 'no spool' : `a spool of ${mebibytes} MiB`;
  const told = TOLD.filter((name) => counters[name] !== undefined).map(
    (name) => `${name} ${count(counters[name])}`,
  );
  return `## ${options.seconds} s, ${options.protocol}, ${store}

${count(pairs)} pairs by one process (${count(Math.round(pairs / options.seconds))} a second), ${count(containers)} containers of short processes that came and went, ${outages} outages.

${tableOf(report)}

${told.join(', ')}. The backend has got ${count(got.unique)} different spans of files, ${count(got.all - got.unique)} of them twice.
`;
}

/** Of the run with a spool. */
export const SECONDS_DEFAULT = 600;

/** Returns why docs/soak.md doesn't tell of such a run; null: it does. */
export function whyNotWritten(seconds: number, rate: number): string | null {
  const told = 'FDSPAN_WRITE=1: docs/soak.md tells of whole runs only;';
  if (rate !== 0) return `${told} FDSPAN_SOAK_RATE=${rate} is not the full rate`;
  if (seconds >= SECONDS_DEFAULT) return null;
  return `${told} FDSPAN_SOAK_SECONDS=${seconds} is less than ${SECONDS_DEFAULT}`;
}

/** Writes docs/soak.md. */
export function writeDocument(reports: readonly SoakReport[]): void {
  const text = `# Soak: full rate, and a backend that is down a third of the time

Written by \`FDSPAN_WRITE=1 npm run test:soak\` on ${new Date().toISOString().slice(0, 10)}: ${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}.

One process opens and closes a file as fast as it can, containers of short processes come and go, and the backend is killed
and started again: down for a third of each tenth of the run. What memory and spool can't hold is dropped, oldest first, and
counted. The run fails when a counter doesn't add up ([architecture.md](architecture.md#accounting)), when the backend has got fewer different spans than were
counted as accepted, or when the median of the last fifth is more than 10 % above that of the middle one, for resident memory and for
both heaps. So that only a leak can be that, all garbage is collected (\`--gc-global\`), and malloc gives freed buffers back at
once (\`MALLOC_MMAP_THRESHOLD_\`). Amounts are medians of the samples of each fifth.

${reports.map(sectionOf).join('\n')}`;
  writeFileSync(join(import.meta.dirname, '../../docs/soak.md'), text);
}
