// Prints the rows of a run of the fault bench as a table; with `--write` it puts them into docs/faults.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import type { FaultRow } from '../test/helpers/fault-run.ts';

const [path = '', ...flags] = process.argv.slice(2);
const document = join(import.meta.dirname, '../docs/faults.md');
const BEGIN = '<!-- the run: written by npm run test:faults -- --write -->';
const END = '<!-- end of the run -->';

const seen = readFileSync(path, 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line) as FaultRow);
// The same fault by both protocols, one below the other.
const order = seen.map(({ fault }) => fault);
const rows = seen.toSorted((one, other) => order.indexOf(one.fault) - order.indexOf(other.fault));

function amount(value: number | null): string {
  return value === null ? '–' : value.toLocaleString('en');
}

function cells(row: FaultRow): readonly string[] {
  const dropped = Object.entries(row.dropped).map(([reason, count]) => `${amount(count)} \`${reason}\``);
  return [
    row.fault,
    row.protocol === 'grpc' ? 'grpc' : 'http',
    amount(row.files),
    amount(row.encoded),
    amount(row.accepted),
    dropped.join(', ') || '0',
    amount(row.retried),
    amount(row.received),
    amount(row.duplicates),
    row.remarks,
  ];
}

const HEAD = [
  'Fault',
  'OTLP',
  'Files opened',
  'Spans made',
  'Accepted',
  'Dropped',
  'Requests sent again',
  'At the backend',
  'Came again',
  'Remarks',
];
const table = [HEAD, HEAD.map(() => '---'), ...rows.map(cells)]
  .map((line) => `| ${line.join(' | ')} |`)
  .join('\n');
console.log(`\n${table}`);

if (flags.includes('--write')) {
  if (rows.length === 0) throw new Error('no fault was seen: nothing is written');
  const day = new Date().toISOString().slice(0, 10);
  const run = `${rows.length} faults, ${day}, Linux ${release()}, Node ${process.versions.node}.\n\n${table}`;
  const text = readFileSync(document, 'utf8');
  const [before, after] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (before === -1 || after < before) throw new Error(`${document} has no place for the run`);
  writeFileSync(document, `${text.slice(0, before)}${BEGIN}\n\n${run}\n\n${text.slice(after)}`);
}
