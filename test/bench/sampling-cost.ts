// What sampling saves: the cost of a traced pair, in the kernel and in the collector, when all are sent and when 1 % are.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { cpuNsOf, LOAD_CORE, startBenchCollector } from './bench-collector.ts';
import { PairsProcess } from './pairs-process.ts';
import { rowOf, spread, type BenchResult, type Row } from './row.ts';

const PAIRS = 100_000;
const LOOK_MS = 300;
const QUIET_NS = 10e6;
const ROOM = { 'limits.ring': '128MiB', 'export.queue.bytes_max': '512MiB' };
/** Slices of few opens: at 1 % some of them are sampled in each reading. */
const SLICES = { 'trace.spans_max': '10' };
const VARIANTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'all sent': {},
  '1 % sent, the rest tracked for keep: [failed, held]': { 'sampling.ratio': '0.01' },
  '1 % sent, drawn first (keep: [failed])': { 'sampling.ratio': '0.01', 'sampling.keep': '[failed]' },
};

/** Measures in `rounds` rounds; each variant once a round. */
export async function measureSamplingCost(rounds: number): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-bench-'));
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  const group = makeContainerGroup();
  const load = await PairsProcess.start(group.procsFile, LOAD_CORE);
  const readings = new Map<string, Reading>(
    Object.keys(VARIANTS).map((name) => [name, { added: [], cpu: [] }]),
  );
  try {
    for (let round = 0; round < rounds; round += 1) {
      const bare = await load.pairs(PAIRS, file);
      for (const [name, set] of Object.entries(VARIANTS)) {
        const collector = await startBenchCollector([group.id], 'http/protobuf', {
          ...ROOM,
          ...SLICES,
          ...set,
        });
        const before = cpuNsOf(collector.process.pid);
        const each = await load.pairs(PAIRS, file);
        const cpu = (await quietCpuNs(collector.process.pid)) - before;
        const { counters } = await collector.end();
        readings.get(name)!.added.push(each - bare);
        readings.get(name)!.cpu.push(cpu / counters.opens_in_scope);
      }
    }
  } finally {
    await load.end();
    await group.remove();
    rmSync(folder, { recursive: true });
  }
  return { rows: rowsOf(readings), skipped: [] };
}

/** Returns the CPU time of a process once it has dealt with what there is: it hardly grows any more. */
async function quietCpuNs(pid: number): Promise<number> {
  for (let last = 0, now = cpuNsOf(pid); ; last = now, now = cpuNsOf(pid)) {
    if (now - last < QUIET_NS) return now;
    await delay(LOOK_MS);
  }
}

interface Reading {
  readonly added: number[];
  readonly cpu: number[];
}

function rowsOf(readings: ReadonlyMap<string, Reading>): Row[] {
  const all = readings.get('all sent')!;
  return [...readings].flatMap(([name, { added, cpu }]) => [
    rowOf(`added to a traced pair, ${name}`, 'ns', added, {
      yardstick: { name: 'all sent', value: spread(all.added).value },
    }),
    rowOf(`collector CPU for an open, ${name}`, 'ns', cpu, {
      yardstick: { name: 'all sent', value: spread(all.cpu).value },
    }),
  ]);
}
