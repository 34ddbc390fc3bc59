// The known workload (workload/*.c): builds it, starts it inside a control group, and reads what it says it
// did. What it says is the expectation that fdspan's spans are compared with.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** One span that fdspan must send, by the workload's own knowledge. Times are nanoseconds of the boot clock. */
export interface ExpectedSpan {
  readonly how: string;
  /** Any bytes. */
  readonly path: Buffer;
  readonly pid: number;
  readonly tid: number;
  readonly fd: number;
  readonly flags: number;
  /** Empty for a failed open. */
  readonly reason: string;
  /** Symbol of the errno, or empty. */
  readonly error: string;
  readonly isAdopted: boolean;
  /** Readings of the clock right before and after the open call. */
  readonly openedBootNs: readonly [bigint, bigint];
  /** The same around what closed it; an end of 0 is unbounded. */
  readonly closedBootNs: readonly [bigint, bigint];
}

export type WorkloadLine = Readonly<Record<string, unknown>>;

export interface Workload {
  readonly pid: number;
  /** Where its files are; removed by `end`. */
  readonly directory: string;
  /** Lets it run on to its next wait. */
  go(): void;
  /** Resolves with the first line that has this key. */
  line(key: string): Promise<WorkloadLine>;
  /** Resolves when it has ended; rejects when it failed. */
  finished(): Promise<WorkloadResult>;
  /** What it has said so far. */
  result(): WorkloadResult;
  /** Kills it if it still runs, and removes its files. */
  end(): Promise<void>;
}

export interface WorkloadResult {
  readonly expected: readonly ExpectedSpan[];
  /** All other lines: totals of the scenarios that don't list their spans. */
  readonly lines: readonly WorkloadLine[];
  /** Why the scenario can't run here, or null. */
  readonly skipped: string | null;
}

export interface WorkloadOptions {
  readonly scenario: string;
  readonly count: number;
  /** The `cgroup.procs` files of the groups that it joins before it is executed. */
  readonly procsFiles: readonly string[];
  /** It gets mount and pid namespaces of its own, as the child of the process that is returned. */
  readonly isIsolated?: boolean;
  /** Of the scenario, after the directory. */
  readonly arguments?: readonly string[];
}

const folder = join(import.meta.dirname, 'workload');
const program = join(import.meta.dirname, '../../build/test/workload');
let isBuilt = false;

/** Builds the program if its sources changed; returns where it is. */
export function buildWorkload(): string {
  if (!isBuilt)
    execFileSync('make', ['-s', '-C', folder, `OUT=${program}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  isBuilt = true;
  return program;
}

/** Returns the wall clock minus the boot clock in nanoseconds. */
export function measureClockOffsetNs(): bigint {
  return BigInt(execFileSync(buildWorkload(), ['clock', '1', tmpdir()], { encoding: 'utf8' }).trim());
}

/** Starts a scenario, which joins its groups, is executed there, and waits; resolves once it waits. */
export async function startWorkload(options: WorkloadOptions): Promise<Workload> {
  const directory = mkdtempSync(join(tmpdir(), 'fdspan-workload-'));
  // The shell joins the groups, so that the program is executed inside, as a container's first process is.
  const joins = options.procsFiles.map((_, index) => `echo $$ > "$${index + 1}"`).join('\n');
  const shell = `set -e\n${joins}\nshift ${options.procsFiles.length}\nexec "$@"`;
  const wrapper = options.isIsolated ? ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--'] : [];
  const scenario = [options.scenario, String(options.count), directory, ...(options.arguments ?? [])];
  const command = [...wrapper, buildWorkload(), ...scenario];
  const child = spawn('/bin/sh', ['-c', shell, 'sh', ...options.procsFiles, ...command], { stdio: 'pipe' });
  const workload = followWorkload(child, directory, options.scenario);
  try {
    await workload.line('waiting');
  } catch (error) {
    await workload.end();
    throw error;
  }
  return workload;
}

function followWorkload(child: ReturnType<typeof spawn>, directory: string, scenario: string): Workload {
  const lines: WorkloadLine[] = [];
  const waiters: { key: string; resolve: (line: WorkloadLine) => void; reject: (error: Error) => void }[] =
    [];
  let errors = '';
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.on('exit', killAtExit);
  child.stderr?.on('data', (text) => (errors += text));
  child.stdin?.on('error', () => {});
  const reader = createInterface({ input: child.stdout!, crlfDelay: Infinity });
  reader.on('line', (text) => {
    const line = JSON.parse(text) as WorkloadLine;
    lines.push(line);
    for (let i = waiters.length - 1; i >= 0; i--)
      if (waiters[i].key in line) waiters.splice(i, 1)[0].resolve(line);
  });
  const read = new Promise<void>((resolve) => reader.on('close', resolve));
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('exit', killAtExit);
      const error = new Error(`workload ${scenario} ended with ${code ?? signal}: ${errors.trim()}`);
      for (const waiter of waiters.splice(0)) waiter.reject(error);
      if (code === 0) resolve();
      else reject(error);
    });
  });
  ended.catch(() => {});
  return {
    pid: child.pid!,
    directory,
    go: () => void child.stdin?.write('\n'),
    line: (key) => {
      const known = lines.find((line) => key in line);
      if (known) return Promise.resolve(known);
      return new Promise((resolve, reject) => waiters.push({ key, resolve, reject }));
    },
    finished: async () => {
      await ended;
      await read;
      return readResult(lines);
    },
    result: () => readResult(lines),
    end: async () => {
      child.kill('SIGKILL');
      await ended.catch(() => {});
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function readResult(lines: readonly WorkloadLine[]): WorkloadResult {
  const skip = lines.find((line) => 'skip' in line);
  return {
    expected: lines.filter((line) => 'how' in line).map(readExpected),
    lines: lines.filter((line) => !('how' in line)),
    skipped: skip ? String(skip.skip) : null,
  };
}

function readExpected(line: WorkloadLine): ExpectedSpan {
  const { how, path, pid, tid, fd, flags, reason, error, adopted } = line as Record<string, never>;
  const times = (pair: unknown): [bigint, bigint] => (pair as string[]).map(BigInt) as [bigint, bigint];
  const openedBootNs = times(line.opened);
  const closedBootNs = times(line.closed);
  const isAdopted = adopted === 1;
  return {
    how,
    path: Buffer.from(path, 'latin1'),
    pid,
    tid,
    fd,
    flags,
    reason,
    error,
    isAdopted,
    openedBootNs,
    closedBootNs,
  };
}
