// Runs `bin/fdspan run` as a child, as a user would, and checks the law of conservation when it stops.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export type LogLine = Readonly<Record<string, unknown>>;
export type Counters = Readonly<Record<string, number>>;

export interface CollectorOptions {
  readonly endpoint: string;
  /** Default: `grpc`. */
  readonly protocol?: 'grpc' | 'http/protobuf';
  /** Only these containers are traced; null: what the configuration file says. */
  readonly containerIds: readonly string[] | null;
  readonly configFile?: string;
  /** More `--set` values, which win over the ones set here. */
  readonly set?: Readonly<Record<string, string>>;
  /** More variables than the tests' caller has. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A command that runs the rest of its arguments as itself, so that signals reach fdspan. */
  readonly prefix?: readonly string[];
  /** Gives the command that runs a command elsewhere, to which signals must be passed on. */
  readonly wrap?: (argv: readonly string[]) => readonly string[];
  /** Gets the process before it is ready. */
  readonly spawned?: (child: ChildProcess) => void;
}

export interface Stopped {
  readonly exitCode: number | null;
  /** Those of the summary. */
  readonly counters: Counters;
  readonly logs: readonly LogLine[];
  /** What standard error held besides JSON lines: must be empty. */
  readonly otherText: string;
}

export interface Ended {
  /** Null: a signal ended it. */
  readonly exitCode: number | null;
  /** Those of the last line; null: it isn't the summary. */
  readonly counters: Counters | null;
}

export interface Collector {
  readonly pid: number;
  readonly logs: readonly LogLine[];
  /** Sends SIGTERM and resolves with the summary; asserts exit code 0 and the law. */
  stop(): Promise<Stopped>;
  /** Resolves when it has ended, whatever ended it. */
  ended(): Promise<Ended>;
  /** Ends it at once, when a test failed before its stop; may be called always. */
  kill(): Promise<void>;
}

export interface Exited {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const program = join(import.meta.dirname, '../../bin/fdspan');

/** Reason: the budget of a start is 1 s; other tests may share the machine's 2 cores. */
const READY_TIMEOUT_MS = 30_000;

/** Reason: limits.stop_deadline is 10 s, and 100,000 open files are sent before. */
const STOP_TIMEOUT_MS = 60_000;

/** Returns why the kernel tests can't run here, or null when they can. */
export function whyNoKernelTests(): string | null {
  if (process.getuid?.() !== 0) return 'kernel tests need root';
  return existsSync('/sys/kernel/btf/vmlinux') ? null : 'the kernel has no BTF (/sys/kernel/btf/vmlinux)';
}

/** The environment without settings of fdspan or OpenTelemetry that the tests' caller may have. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^(FDSPAN|OTEL)_|^NODE_TEST_CONTEXT$/.test(name),
  );
  return Object.fromEntries(entries);
}

/** Runs fdspan with any arguments until it ends by itself. */
export async function runToExit(
  args: readonly string[],
  options: { readonly uid?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Exited> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  const exitCode = await exitOf(child);
  clearTimeout(timer);
  return { exitCode, stdout, stderr };
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
}

function allowing(ids: readonly string[]): string {
  return JSON.stringify(ids.map((id) => ({ id })));
}

/** Starts the collector and resolves when it says that it is ready. */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-collector-'));
  const set: Record<string, string> = {
    'export.endpoint': options.endpoint,
    'export.protocol': options.protocol ?? 'grpc',
    'control.socket': join(folder, 'control.sock'),
    'control.state_file': join(folder, 'open-times.state'),
    'telemetry.metrics.otlp': 'false',
    // Every open is to be a span.
    'sampling.target.host': '0',
    'telemetry.metrics.containers': 'false',
    ...(options.containerIds === null ? {} : { 'containers.allow': allowing(options.containerIds) }),
    ...options.set,
  };
  const args = options.configFile === undefined ? [] : ['--config', options.configFile];
  for (const [key, value] of Object.entries(set)) args.push('--set', `${key}=${value}`);
  const wrap = options.wrap ?? ((argv) => [...(options.prefix ?? []), ...argv]);
  const [command, ...rest] = wrap([program, 'run', ...args]);
  const child = spawn(command, rest, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...cleanEnvironment(), ...options.environment },
  });
  options.spawned?.(child);
  const followed = followCollector(child, folder);
  try {
    await followed.ready;
  } catch (error) {
    await followed.collector.kill();
    throw error;
  }
  return followed.collector;
}

function followCollector(
  child: ChildProcess,
  folder: string,
): { collector: Collector; ready: Promise<void> } {
  const logs: LogLine[] = [];
  let otherText = '';
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.on('exit', killAtExit);
  const exited = exitOf(child).finally(() => {
    process.off('exit', killAtExit);
    rmSync(folder, { recursive: true, force: true });
  });
  exited.catch(() => {});
  const said = (): string => `${logs.map((line) => JSON.stringify(line)).join('\n')}\n${otherText}`;
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`fdspan isn't ready:\n${said()}`)), READY_TIMEOUT_MS);
    createInterface({ input: child.stderr! }).on('line', (text) => {
      const line = parseLine(text);
      if (line === null) otherText += `${text}\n`;
      else logs.push(line);
      if (line?.msg !== 'ready') return;
      clearTimeout(timer);
      resolve();
    });
    exited
      .then((code) => reject(new Error(`fdspan ended with ${code} before it was ready:\n${said()}`)), reject)
      .finally(() => clearTimeout(timer));
  });
  const collector: Collector = {
    pid: child.pid!,
    logs,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      const exitCode = await exited;
      clearTimeout(timer);
      assert.equal(exitCode, 0, `fdspan's exit code after SIGTERM:\n${said()}`);
      const last = logs.at(-1);
      assert.equal(last?.msg, 'summary', `the last line is the summary:\n${said()}`);
      const counters = last.counters as Counters;
      checkLaw(counters);
      return { exitCode, counters, logs, otherText };
    },
    ended: async () => {
      const exitCode = await exited;
      const last = logs.at(-1);
      return { exitCode, counters: last?.msg === 'summary' ? (last.counters as Counters) : null };
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited.catch(() => {});
    },
  };
  return { collector, ready };
}

function parseLine(text: string): LogLine | null {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return null;
  }
}

/** The law of conservation, written here a second time, from the design and not from the code under test. */
const LAW: readonly (readonly [readonly string[], readonly string[]])[] = [
  [['opens_in_scope'], ['opens_tracked', 'unsampled', 'open_table_full']],
  [['opens_tracked'], ['pairs_finished', 'still_open']],
  [
    ['pairs_finished'],
    'records_read ring_full ring_unread path_excluded process_excluded too_short unsampled_finished'.split(
      ' ',
    ),
  ],
  [
    ['records_read'],
    'spans_encoded container_denied rate_limited unsampled_late unjudged_overflow record_invalid encode_failed waiting'.split(
      ' ',
    ),
  ],
  [
    ['spans_encoded', 'spool_recovered?'],
    'spans_accepted queue_full rejected retries_exhausted shutdown spool_damaged in_flight spooled?'.split(
      ' ',
    ),
  ],
  // Reports of open files are in no count of the pairs.
  [['held_spans_sent'], ['held_spans_read']],
  [['held_spans_read'], ['held_spans_encoded', 'held_spans_filtered']],
  [['held_spans_encoded'], ['held_spans_accepted', 'held_spans_dropped']],
];

/** Asserts the law of conservation over a summary's counters. A counter that is missing fails. */
export function checkLaw(counters: Counters): void {
  const sum = (names: readonly string[]): number =>
    names.reduce((total, name) => total + valueOf(counters, name), 0);
  for (const [left, right] of LAW)
    assert.equal(
      sum(left),
      sum(right),
      `${left.join(' + ')} = ${right.join(' + ')} doesn't hold: ${JSON.stringify(counters)}`,
    );
}

/** A name that ends in `?` may be missing: no spool is configured. */
function valueOf(counters: Counters, name: string): number {
  const value = name.endsWith('?') ? (counters[name.slice(0, -1)] ?? 0) : counters[name];
  assert.equal(typeof value, 'number', `the summary has the counter ${name}: ${JSON.stringify(counters)}`);
  assert.ok(Number.isSafeInteger(value) && value >= 0, `${name} is a count: ${value}`);
  return value;
}
