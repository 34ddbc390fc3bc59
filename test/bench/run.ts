// `npm run bench`: measures what DESIGN calls the budgets, as ratios within one run. Prints a table, or rows as
// JSON. It asserts nothing: a number is a number, and whether its budget is met is a column.
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { measureCollectorCost } from './collector-cost.ts';
import { measureFilterCost } from './filter-cost.ts';
import { measureHeldCost } from './held-cost.ts';
import { measureKernelCost } from './kernel-cost.ts';
import { measureOptionsCost } from './options-cost.ts';
import { measureSamplingCost } from './sampling-cost.ts';
import { tableOf, type BenchResult } from './row.ts';

const PARTS: Readonly<Record<string, (rounds: number) => Promise<BenchResult>>> = {
  kernel: measureKernelCost,
  collector: measureCollectorCost,
  options: measureOptionsCost,
  filters: measureFilterCost,
  held: measureHeldCost,
  sampling: measureSamplingCost,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
  },
});
const reason = cpus().length < 2 ? 'the bench needs 2 cores: one for the load' : whyNoKernelTests();
if (reason !== null) {
  process.stderr.write(`bench: ${reason}\n`);
  process.exit(69);
}
const parts = positionals.length === 0 ? Object.keys(PARTS) : positionals;
const rows: BenchResult['rows'][number][] = [];
const skipped: BenchResult['skipped'][number][] = [];
for (const part of parts) {
  if (!Object.hasOwn(PARTS, part)) {
    process.stderr.write(`bench: no part is called ${part}; there are ${Object.keys(PARTS).join(', ')}\n`);
    process.exit(64);
  }
  process.stderr.write(`bench: measuring ${part}\n`);
  const result = await PARTS[part](Number(values.rounds));
  rows.push(...result.rows);
  skipped.push(...result.skipped);
}
if (values.json) {
  process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
} else {
  process.stdout.write(`${machine()}\n\n${tableOf(rows)}\n`);
}
if (values.write) writeFileSync(join(import.meta.dirname, '../../docs/overhead.md'), overheadText());
for (const { name, reason: why } of skipped) process.stderr.write(`bench: skipped ${name}: ${why}\n`);

function machine(): string {
  return `${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}`;
}

function overheadText(): string {
  return `# What fdspan costs

Written by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}. Ratios within one run tell more
than times, which are this machine's. Times of kernel programs are CPU time of the loaded thread, the best of many short
batches, over nothing attached. The load has one core, the collector and its backend share the other.

${tableOf(rows)}

A budget that isn't met is work to be done, not a number to be explained.
`;
}
