// What the collector itself costs: CPU from the ring to the acknowledged request, at rest, its memory, its start.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import {
  cpuNsOf,
  LOAD_CORE,
  residentBytesOf,
  startBenchCollector,
  type Protocol,
} from './bench-collector.ts';
import { PairsProcess } from './pairs-process.ts';
import { rowOf, type BenchResult, type Row } from './row.ts';

const LOAD_SECONDS = 4;
const FAST_RATE = 120_000;
const USUAL_RATE = 20_000;
const IDLE_MS = 10_000;
/** Rest after the load, in which the last requests are acknowledged: DESIGN's p99 is 1 s. */
const SETTLE_MS = 1500;
/** Before the rest is measured. Reason: V8 collects what a start left once nothing was allocated for 8 s. */
const REST_MS = 15_000;
const HELD_FILES = 100_000;
const HELD_PER_PROCESS = 10_000;

export async function measureCollectorCost(rounds: number): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-bench-'));
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  const group = makeContainerGroup();
  const starts: number[] = [];
  const rows: Row[] = [];
  try {
    const turns = Math.max(1, Math.ceil(rounds / 2));
    for (const [protocol, budget] of [
      ['http/protobuf', 1.5],
      ['grpc', 3],
    ] as const) {
      const readings: number[] = [];
      const losses: number[] = [];
      for (let turn = 0; turn < turns; turn += 1) {
        const load = await measureLoad(group, file, protocol, FAST_RATE);
        readings.push(load.cpuNsPerSpan / 1000);
        losses.push(load.lostShare * 100);
        starts.push(load.startMs);
      }
      rows.push(
        rowOf(`CPU per span, ring to acknowledged, ${FAST_RATE}/s, ${protocol}`, 'µs', readings, {
          budget: `≤ ${budget} µs`,
          isMet: (value) => value <= budget,
        }),
        rowOf(`lost at ${FAST_RATE}/s, counted, ${protocol}`, '%', losses, {
          budget: 'none',
          isMet: (value) => value === 0,
        }),
      );
    }
    const usual = await measureLoad(group, file, 'http/protobuf', USUAL_RATE);
    rows.push(
      rowOf(`CPU at ${USUAL_RATE} spans/s, http/protobuf`, '% of a core', [usual.cpuShare * 100], {
        budget: '≤ 5 %',
        isMet: (value) => value <= 5,
      }),
      rowOf('start of the process to attached', 'ms', starts, {
        budget: '≤ 1,000 ms',
        isMet: (value) => value <= 1000,
      }),
      await measureIdle(group),
      await measureMemory(file),
    );
  } finally {
    await group.remove();
    rmSync(folder, { recursive: true });
  }
  return { rows, skipped: [] };
}

interface Load {
  readonly cpuNsPerSpan: number;
  readonly cpuShare: number;
  /** Of the opens, what was no span in the end, whatever the reason. */
  readonly lostShare: number;
  readonly startMs: number;
}

async function measureLoad(
  group: ContainerGroup,
  file: string,
  protocol: Protocol,
  rate: number,
): Promise<Load> {
  const load = await PairsProcess.start(group.procsFile, LOAD_CORE);
  const collector = await startBenchCollector([group.id], protocol);
  const { pid } = collector.process;
  // Compiled code and grown buffers are what runs for days: the first second isn't counted.
  await load.paced(rate, rate, file);
  await delay(SETTLE_MS);
  const cpuBefore = cpuNsOf(pid);
  const beganMs = performance.now();
  await load.paced(rate * LOAD_SECONDS, rate, file);
  const seconds = (performance.now() - beganMs) / 1000;
  await delay(SETTLE_MS);
  const cpuNs = cpuNsOf(pid) - cpuBefore;
  await load.end();
  const { counters } = await collector.end();
  const lostShare = 1 - counters.spans_accepted / counters.opens_in_scope;
  // Before the counted part there was a second of the same load.
  const spans = counters.spans_accepted * (LOAD_SECONDS / (LOAD_SECONDS + 1));
  return {
    cpuNsPerSpan: cpuNs / spans,
    cpuShare: cpuNs / 1e9 / seconds,
    lostShare,
    startMs: collector.startMs,
  };
}

/** Nothing is traced; the rest of the host goes on. */
async function measureIdle(group: ContainerGroup): Promise<Row> {
  const collector = await startBenchCollector([group.id], 'http/protobuf');
  await delay(REST_MS);
  const before = cpuNsOf(collector.process.pid);
  await delay(IDLE_MS);
  const share = (cpuNsOf(collector.process.pid) - before) / 1e6 / IDLE_MS;
  await collector.end();
  return rowOf('CPU at rest', '% of a core', [share * 100], {
    budget: '≤ 0.5 %',
    isMet: (value) => value <= 0.5,
  });
}

/** 1,000 containers, 100,000 open files, all adopted at the start. */
async function measureMemory(file: string): Promise<Row> {
  const groups = Array.from({ length: 1000 }, () => makeContainerGroup());
  const holders: PairsProcess[] = [];
  try {
    for (let held = 0; held < HELD_FILES; held += HELD_PER_PROCESS) {
      const holder = await PairsProcess.start(groups[holders.length].procsFile, LOAD_CORE);
      holders.push(holder);
      await holder.hold(HELD_PER_PROCESS, file);
    }
    const collector = await startBenchCollector(
      groups.map(({ id }) => id),
      'http/protobuf',
      { 'containers.allow': '[]' },
    );
    await delay(SETTLE_MS);
    const bytes = residentBytesOf(collector.process.pid);
    const { counters } = await collector.end();
    if (counters.opens_tracked < HELD_FILES)
      throw new Error(`not all files were adopted: ${JSON.stringify(counters)}`);
    return rowOf('memory with 1,000 containers and 100,000 open files', 'MB', [bytes / 1e6], {
      budget: '≤ 150 MB',
      isMet: (value) => value <= 150,
    });
  } finally {
    for (const holder of holders) await holder.end();
    for (const group of groups) await group.remove();
  }
}
