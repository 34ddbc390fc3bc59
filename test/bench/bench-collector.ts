// The collector under the bench: started as a user would, sending to the sink, on a core of its own.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startCollector, type Collector } from '../helpers/collector-process.ts';

export type Protocol = 'grpc' | 'http/protobuf';

/** The load has core 0; all that isn't measured shares core 1 with the collector. */
export const LOAD_CORE = 0;
const COLLECTOR_CORE = 1;

export interface BenchCollector {
  readonly process: Collector;
  /** From the start of the process to `ready`. */
  readonly startMs: number;
  end(): Promise<Awaited<ReturnType<Collector['stop']>>>;
}

/** Starts the sink and the collector; only containers with these ids are traced. */
export async function startBenchCollector(
  containerIds: readonly string[],
  protocol: Protocol,
  set: Readonly<Record<string, string>> = {},
  configFile?: string,
): Promise<BenchCollector> {
  const sink = spawn(process.execPath, [join(import.meta.dirname, 'sink.ts'), protocol], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [endpoint] = (await once(createInterface({ input: sink.stdout }), 'line')) as [string];
  const endSink = async (): Promise<void> => {
    const closed = once(sink, 'close');
    sink.kill('SIGTERM');
    await closed;
  };
  try {
    const beganMs = performance.now();
    const collector = await startCollector({
      endpoint: protocol === 'grpc' ? endpoint : `${endpoint}/v1/traces`,
      protocol,
      containerIds,
      // On by default for users, off for tests.
      set: { 'telemetry.metrics.containers': 'true', ...set },
      ...(configFile === undefined ? {} : { configFile }),
    });
    const startMs = performance.now() - beganMs;
    for (const pid of [collector.pid, sink.pid!])
      execFileSync('taskset', ['-apc', String(COLLECTOR_CORE), String(pid)], { stdio: 'ignore' });
    const end = async (): ReturnType<BenchCollector['end']> => {
      const stopped = await collector.stop();
      await endSink();
      return stopped;
    };
    return { process: collector, startMs, end };
  } catch (error) {
    await endSink();
    throw error;
  }
}

/** CPU nanoseconds that all living threads of a process have used (schedstat's first number). */
export function cpuNsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((total, tid) => {
    const [used] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ');
    return total + Number(used);
  }, 0);
}

/** Resident memory in bytes. */
export function residentBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
