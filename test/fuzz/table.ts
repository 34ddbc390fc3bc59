// Prints what the fuzz tests of this run did; with FDSPAN_WRITE=1 writes it to docs/fuzz.md too, where all ran as
// often as by default.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { markdownTable } from '../helpers/markdown-table.ts';
import { documentOf } from './document.ts';
import { ROWS_FOLDER, type FuzzRow } from './fuzz.ts';

const rows = readdirSync(ROWS_FOLDER)
  .sort()
  .map((name) => JSON.parse(readFileSync(join(ROWS_FOLDER, name), 'utf8')) as FuzzRow)
  .sort((one, other) => other.runs - one.runs || (one.title < other.title ? -1 : 1));

const count = (number: number): string => number.toLocaleString('en-US');

function endsOf({ outcomes }: FuzzRow): string {
  return Object.entries(outcomes)
    .sort(([, one], [, other]) => other - one)
    .map(([outcome, runs]) => `${outcome} ${count(runs)}`)
    .join(', ');
}

const table = markdownTable(
  ['what is given', 'runs', 'seconds', 'how they ended', 'seed'],
  rows.map((row) => [row.title, count(row.runs), row.seconds.toFixed(0), endsOf(row), String(row.seed)]),
);
process.stdout.write(`${table}\n`);

if (process.env.FDSPAN_WRITE === '1') {
  // The rows may be of an earlier run.
  const short = rows.find(({ runs, runsDefault }) => runs < runsDefault);
  const why =
    rows.length === 0
      ? 'no test has run'
      : short && `"${short.title}" had ${count(short.runs)} runs of ${count(short.runsDefault)}`;
  if (why !== undefined) {
    process.stderr.write(`docs/fuzz.md is not written: ${why}\n`);
    process.exitCode = 1;
  } else {
    const today = new Date().toISOString().slice(0, 10);
    const run = `${today}: ${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}.`;
    writeFileSync(join(import.meta.dirname, '../../docs/fuzz.md'), documentOf(run, table));
  }
}
