// A daemon that a test starts and ends: by its own process, never by name.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Reason: daemons start in 1–2 s; other tests may share the machine's 2 cores. */
const START_TIMEOUT_MS = 60_000;
/** Reason: a daemon ends its own children within 10 s; one that doesn't is killed. */
const STOP_TIMEOUT_MS = 20_000;
const LOOK_MS = 50;

export interface DaemonOptions {
  readonly argv: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Takes what it prints; the end of it is told when the start fails. */
  readonly logPath: string;
  /** Asked again and again until it says yes. */
  readonly isReady: () => Promise<boolean>;
}

export interface Daemon {
  readonly pid: number;
  signal(signal: NodeJS.Signals): void;
  /** Sends the signal and waits for the process's end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const log = openSync(options.logPath, 'a');
  const [command = '', ...args] = options.argv;
  const child = spawn(command, args, { env: options.env, stdio: ['ignore', log, log] });
  closeSync(log);
  const failed = once(child, 'error').then(([error]) => Promise.reject(error as Error));
  failed.catch(() => undefined);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await Promise.race([options.isReady(), failed]))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stopChild(child, 'SIGKILL');
      throw new Error(`${command} doesn't start: ${readFileSync(options.logPath, 'utf8').slice(-2000)}`);
    }
    await delay(LOOK_MS);
  }
  return {
    pid: child.pid ?? 0,
    signal: (signal) => void child.kill(signal),
    stop: (signal = 'SIGTERM') => stopChild(child, signal),
  };
}

async function stopChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exit;
  clearTimeout(timer);
}
