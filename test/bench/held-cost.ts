// What 100,000 files that stay open cost: at rest, when they are listed, when each of them is reported.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { runToExit } from '../helpers/collector-process.ts';
import { cpuNsOf, LOAD_CORE, residentBytesOf, startBenchCollector } from './bench-collector.ts';
import { PairsProcess } from './pairs-process.ts';
import { rowOf, type BenchResult, type Row } from './row.ts';

const HELD_FILES = 100_000;
const HELD_PER_PROCESS = 10_000;
/** After the rest and the listings. */
const AFTER_MS = 30_000;
const SETTLE_MS = 1500;
const REST_MS = 8000;
const LISTINGS = 3;
const DEADLINE_MS = 120_000;

export async function measureHeldCost(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-bench-'));
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  const group = makeContainerGroup();
  const holders: PairsProcess[] = [];
  try {
    for (let held = 0; held < HELD_FILES; held += HELD_PER_PROCESS) {
      const holder = await PairsProcess.start(group.procsFile, LOAD_CORE);
      holders.push(holder);
      await holder.hold(HELD_PER_PROCESS, file);
    }
    return { rows: await measure(group.id, folder), skipped: [] };
  } finally {
    for (const holder of holders) await holder.end();
    await group.remove();
    rmSync(folder, { recursive: true });
  }
}

async function measure(containerId: string, folder: string): Promise<Row[]> {
  const socket = join(folder, 'control.sock');
  const collector = await startBenchCollector([containerId], 'http/protobuf', {
    'control.socket': socket,
    'spans.held.after': `${AFTER_MS}ms`,
    'spans.held.every': '0',
  });
  const { pid } = collector.process;
  await delay(SETTLE_MS);
  const restBefore = cpuNsOf(pid);
  await delay(REST_MS);
  const restShare = (cpuNsOf(pid) - restBefore) / 1e6 / REST_MS;
  const listingMs: number[] = [];
  const listingCpuMs: number[] = [];
  let residentBytes = 0;
  for (let round = 0; round < LISTINGS; round += 1) {
    const before = cpuNsOf(pid);
    const beganMs = performance.now();
    const { stdout } = await runToExit(['open', '--json', '--socket', socket]);
    listingMs.push(performance.now() - beganMs);
    listingCpuMs.push((cpuNsOf(pid) - before) / 1e6);
    residentBytes = Math.max(residentBytes, residentBytesOf(pid));
    const files = (JSON.parse(stdout) as unknown[]).length;
    if (files < HELD_FILES) throw new Error(`${files} of ${HELD_FILES} files were listed`);
  }
  const reportedBefore = cpuNsOf(pid);
  await untilReported(socket);
  const reportedNs = cpuNsOf(pid) - reportedBefore;
  const { counters } = await collector.end();
  return [
    rowOf('CPU at rest with 100,000 open files', '% of a core', [restShare * 100]),
    rowOf('fdspan open with 100,000 open files', 'ms', listingMs),
    rowOf('collector CPU of one such answer', 'ms', listingCpuMs),
    rowOf('memory during it', 'MB', [residentBytes / 1e6]),
    rowOf('held reports with 100,000 open files, CPU of each, ring to acknowledged', 'µs', [
      reportedNs / 1000 / counters.held_spans_sent,
    ]),
    rowOf('held reports lost', '%', [100 * (1 - counters.held_spans_accepted / counters.held_spans_sent)], {
      budget: 'none',
      isMet: (value) => value === 0,
    }),
  ];
}

/** Seldom asked: each answer costs the collector a little, too. */
async function untilReported(socket: string): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    await delay(2000);
    const { stdout } = await runToExit(['status', '--json', '--socket', socket]);
    const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
    if (counters.held_spans_accepted >= HELD_FILES) return;
    if (performance.now() > deadlineMs) throw new Error(`not reported: ${JSON.stringify(counters)}`);
  }
}
