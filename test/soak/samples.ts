// What a running collector holds at a moment: its memory as the system sees it, the heaps of its two threads, and what
// waits in its ring, queue and spool.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CollectorStatus } from '../../src/cli/status.ts';
import { askControl } from '../../src/telemetry/control-client.ts';

export interface Sample {
  readonly seconds: number;
  readonly isUp: boolean;
  /** How long `status` took: what holds the main thread up is seen by it. */
  readonly answerMs: number;
  readonly residentBytes: number;
  /** Used: of the main thread and of the pump. */
  readonly heapBytes: number;
  readonly pumpHeapBytes: number;
  /** Outside of both heaps, but held by their objects: buffers. */
  readonly externalBytes: number;
  readonly queueBytes: number;
  readonly spoolBytes: number;
  readonly ringFillBytes: number;
  readonly spansEncoded: number;
  readonly spansAccepted: number;
}

export interface Sampled {
  readonly pid: number;
  readonly controlSocket: string;
  readonly metricsUrl: string;
  /** Where node puts its reports: see {@link sampledEnvironment}. */
  readonly reportFolder: string;
}

interface NodeReport {
  readonly javascriptHeap: { readonly usedMemory: number; readonly externalMemory: number };
  readonly workers?: readonly NodeReport[];
}

/** A guard against a hang, far beyond what an answer takes beside other work. */
const ANSWER_DEADLINE_MS = 60_000;
/** Reason: a report is written in some 100 ms; other tests may share the machine. */
const REPORT_TRIES = 1200;
const REPORT_LOOK_MS = 50;

/**
 * The program's environment: a report of both heaps whenever SIGUSR2 comes, with as little garbage as may be; and buffers
 * that are freed go back to the system, else resident memory goes up and down by 30 MB with what malloc keeps.
 */
export function sampledEnvironment(folder: string): Readonly<Record<string, string>> {
  const preload = join(import.meta.dirname, 'collect-always.ts');
  return {
    NODE_OPTIONS: `--import=${preload} --report-on-signal --report-signal=SIGUSR2 --report-exclude-network --report-compact --report-directory=${folder}`,
    MALLOC_MMAP_THRESHOLD_: '131072',
    MALLOC_ARENA_MAX: '2',
  };
}

export async function takeSample(of: Sampled, seconds: number, isUp: boolean): Promise<Sample> {
  const report = await takeReport(of);
  const askedMs = performance.now();
  const status = (await askControl(
    of.controlSocket,
    { command: 'status' },
    ANSWER_DEADLINE_MS,
  )) as CollectorStatus;
  const answerMs = performance.now() - askedMs;
  const metrics = await (await fetch(of.metricsUrl)).text();
  return {
    seconds,
    isUp,
    answerMs,
    residentBytes: residentBytesOf(of.pid),
    heapBytes: report.javascriptHeap.usedMemory,
    pumpHeapBytes: report.workers?.[0].javascriptHeap.usedMemory ?? 0,
    externalBytes: [report, ...(report.workers ?? [])].reduce(
      (sum, { javascriptHeap }) => sum + javascriptHeap.externalMemory,
      0,
    ),
    queueBytes: status.queue.bytes,
    spoolBytes: status.spool?.bytes ?? 0,
    ringFillBytes: Number(/^fdspan_ring_fill(?:_bytes)?(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1]),
    spansEncoded: status.counters.spans_encoded,
    spansAccepted: status.counters.spans_accepted,
  };
}

async function takeReport({ pid, reportFolder }: Sampled): Promise<NodeReport> {
  process.kill(pid, 'SIGUSR2');
  for (let tries = 0; tries < REPORT_TRIES; tries += 1) {
    await delay(REPORT_LOOK_MS);
    const [name] = readdirSync(reportFolder);
    if (name === undefined) continue;
    const report = parsed(readFileSync(join(reportFolder, name), 'utf8'));
    if (report === null) continue;
    rmSync(join(reportFolder, name));
    return report;
  }
  throw new Error(`process ${pid} writes no report to ${reportFolder}`);
}

/** null: it isn't whole yet. */
function parsed(text: string): NodeReport | null {
  try {
    return JSON.parse(text) as NodeReport;
  } catch {
    return null;
  }
}

function residentBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
