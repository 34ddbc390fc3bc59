// A collector with kernel programs, a container's group and a workload of numbered files, for the fault bench; and the row
// that each fault adds to its table.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from './cgroup.ts';
import { startCollector, type Collector, type CollectorOptions, type Counters } from './collector-process.ts';
import type { SpanCensus } from './span-census.ts';
import { startWorkload } from './workload.ts';

export type Protocol = 'grpc' | 'http/protobuf';
export const PROTOCOLS: readonly Protocol[] = ['grpc', 'http/protobuf'];

export interface Pace {
  /** After each file. */
  readonly pauseNs: number;
  /** Folders above the files, 200 bytes of path each. */
  readonly depth: number;
}

/** Reason: some 2,000 files a second, a fraction of a core. */
const GENTLE: Pace = { pauseNs: 400_000, depth: 0 };
const FILES_MAX = 100_000_000;
const LOOK_MS = 20;

/** What `npm run test:faults` makes its table of. */
export interface FaultRow {
  readonly fault: string;
  readonly protocol: Protocol;
  /** Opened while a collector traced them. */
  readonly files: number;
  /** By the collector; null where it died before it could tell. */
  readonly encoded: number | null;
  readonly accepted: number | null;
  /** By reason, those above 0. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly retried: number | null;
  /** Different ones that the backend has. */
  readonly received: number;
  readonly duplicates: number;
  readonly remarks: string;
}

export interface Load {
  readonly containerId: string;
  begin(): void;
  /** Returns how many files were opened, each once. */
  end(): Promise<number>;
}

/** Starts a workload that waits. It opens numbered files from `begin` to `end`. */
export async function startLoad(t: TestContext, { pauseNs, depth } = GENTLE): Promise<Load> {
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const workload = await startWorkload({
    scenario: 'numbered',
    count: FILES_MAX,
    procsFiles: [group.procsFile],
    arguments: [String(pauseNs), String(depth)],
  });
  t.after(() => workload.end());
  return {
    containerId: group.id,
    begin: () => workload.go(),
    end: async () => {
      workload.go();
      await workload.finished();
      return Number((await workload.line('opens')).opens);
    },
  };
}

/** Starts the collector, which is killed after the test if it still runs. */
export async function startTracing(
  t: TestContext,
  load: Load,
  options: Omit<CollectorOptions, 'containerIds'>,
): Promise<Collector> {
  const collector = await startCollector({ ...options, containerIds: [load.containerId] });
  t.after(() => collector.kill());
  return collector;
}

/** Resolves when the predicate holds; rejects after `timeoutMs`, telling what was waited for. */
export async function eventually(what: string, predicate: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!predicate()) {
    assert.ok(performance.now() < deadline, `not seen within ${timeoutMs} ms: ${what}`);
    await delay(LOOK_MS);
  }
}

/** Whether the log has a warning like this one. */
export function hasWarned({ logs }: Collector, pattern: RegExp): boolean {
  return logs.some((line) => line.level === 'warn' && pattern.test(JSON.stringify(line)));
}

const DROPS = ['queue_full', 'rejected', 'retries_exhausted', 'shutdown', 'spool_damaged'];

export function dropsOf(counters: Counters): Record<string, number> {
  return Object.fromEntries(DROPS.map((name) => [name, counters[name]]).filter(([, count]) => count !== 0));
}

export interface Outcome {
  readonly files: number;
  readonly counters: Counters;
  readonly census: SpanCensus;
  /** The backend has taken these and said that it didn't: it keeps the rejected ones of a partial success. */
  readonly keptThoughRejected?: number;
  readonly allowsDuplicates?: boolean;
  readonly remarks?: string;
}

/** Asserts that every file's span is in one place, to the last one, and adds the row. */
export function tellOutcome(
  t: TestContext,
  fault: string,
  protocol: Protocol,
  { files, counters, census, keptThoughRejected = 0, allowsDuplicates = false, remarks = '' }: Outcome,
): void {
  assert.equal(counters.spans_encoded, files, 'each file is one span');
  const received = census.files.size;
  assert.equal(received, counters.spans_accepted + keptThoughRejected, 'the backend has what it accepted');
  assert.deepEqual(census.doubled, [], 'no file has two spans');
  if (counters.process_spans_dropped === 0)
    assert.equal(census.roots.size, counters.process_spans_accepted, 'and the roots');
  if (!allowsDuplicates)
    assert.deepEqual([census.duplicates, census.rootDuplicates], [0, 0], 'nothing came twice');
  addRow(t, {
    fault,
    protocol,
    files,
    encoded: counters.spans_encoded,
    accepted: counters.spans_accepted,
    dropped: dropsOf(counters),
    retried: counters.requests_retried,
    received,
    duplicates: census.duplicates,
    remarks,
  });
}

/** Tells a row, and keeps it for the table. */
export function addRow(t: TestContext, row: FaultRow): void {
  t.diagnostic(JSON.stringify(row));
  const path = process.env.FDSPAN_FAULT_ROWS;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(row)}\n`);
}
