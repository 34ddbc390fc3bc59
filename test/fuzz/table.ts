// Prints what the fuzz tests of this run did; with FDSPAN_WRITE=1 writes it to docs/fuzz.md too.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { markdownTable } from '../helpers/markdown-table.ts';
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

if (process.env.FDSPAN_WRITE === '1')
  writeFileSync(
    join(import.meta.dirname, '../../docs/fuzz.md'),
    `# Any bytes, a million times

Written by \`FDSPAN_WRITE=1 npm run test:fuzz\` on ${new Date().toISOString().slice(0, 10)}: ${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}.

Wherever bytes come from outside, they are any bytes, or real ones that were damaged: flipped bits, cuts, foreign pieces,
lengths that lie. Nothing may throw what isn't meant to be thrown, or hang. What the pump makes of the records must be read by
another protobuf decoder, with texts that are UTF-8, and its counters must add up by the law
([architecture.md](architecture.md#accounting)); records, answers and files are compared with what their specifications say of
the bytes. Each row ran without a failure; a failure prints its seed and path, with which \`FDSPAN_FUZZ_SEED\` and
\`FDSPAN_FUZZ_PATH\` give the same input again.

${table}
`,
  );
