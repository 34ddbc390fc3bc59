// What single options add to the traced and to others: the same load with and without each, in turn and in one run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { LOAD_CORE, startBenchCollector } from './bench-collector.ts';
import { PairsProcess } from './pairs-process.ts';
import { rowOf, spread, type BenchResult } from './row.ts';

const PAIRS = 100_000;
const READS = 300_000;

const VARIANTS = {
  plain: { 'telemetry.metrics.containers': 'false' },
  metrics: { 'telemetry.metrics.containers': 'true' },
  io: { 'telemetry.metrics.containers': 'false', 'spans.io_totals': 'true' },
} as const;
type Variant = keyof typeof VARIANTS;
type Figure = 'pair' | 'read' | 'read outside' | 'unrelated call';
type Readings = Record<Variant, Record<Figure, number[]>>;

/** Measures in `rounds` rounds; each variant once a round. */
export async function measureOptionsCost(rounds: number): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-bench-'));
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  const group = makeContainerGroup();
  const inside = await PairsProcess.start(group.procsFile, LOAD_CORE);
  const outside = await PairsProcess.start(null, LOAD_CORE);
  const readings = Object.fromEntries(
    Object.keys(VARIANTS).map((variant) => [
      variant,
      { pair: [], read: [], 'read outside': [], 'unrelated call': [] },
    ]),
  ) as unknown as Readings;
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const [variant, set] of Object.entries(VARIANTS)) {
        const collector = await startBenchCollector([group.id], 'http/protobuf', {
          'limits.ring': '128MiB',
          'export.queue.bytes_max': '512MiB',
          ...set,
        });
        const of = readings[variant as Variant];
        of.pair.push(await inside.pairs(PAIRS, file));
        of.read.push(await inside.reads(READS, file));
        of['read outside'].push(await outside.reads(READS, file));
        of['unrelated call'].push(await outside.calls(READS));
        const { counters } = await collector.end();
        if (counters.opens_in_scope < PAIRS)
          throw new Error(`pairs are missing: ${JSON.stringify(counters)}`);
      }
    }
  } finally {
    await inside.end();
    await outside.end();
    await group.remove();
    rmSync(folder, { recursive: true });
  }
  const added = (variant: Variant, figure: Figure): number[] =>
    readings[variant][figure].map((value, round) => value - readings.plain[figure][round]);
  const ofPlain = (figure: Figure) => ({
    yardstick: { name: 'without it', value: spread(readings.plain[figure]).value },
  });
  return {
    rows: [
      rowOf('open+close, traced, neither option', 'ns', readings.plain.pair),
      rowOf("added by the containers' metrics: open+close", 'ns', added('metrics', 'pair'), ofPlain('pair')),
      rowOf('read of one byte, traced, neither option', 'ns', readings.plain.read),
      rowOf('added by I/O totals: read through a traced file', 'ns', added('io', 'read'), ofPlain('read')),
      rowOf('added by I/O totals: read outside', 'ns', added('io', 'read outside'), ofPlain('read outside')),
      rowOf(
        'added by I/O totals: unrelated call',
        'ns',
        added('io', 'unrelated call'),
        ofPlain('unrelated call'),
      ),
      rowOf('added by I/O totals: open+close', 'ns', added('io', 'pair'), ofPlain('pair')),
    ],
    skipped: [],
  };
}
