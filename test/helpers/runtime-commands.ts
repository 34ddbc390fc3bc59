// Runs the commands that start containers, and finds the control groups of what they started.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Reason: a command is done in 1 s; 30 of them mean that it hangs. */
const TIMEOUT_MS = 30_000;

/** Runs a command to its end and returns what it printed. */
export async function runCommand(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, args, { timeout: TIMEOUT_MS, maxBuffer: 16 << 20 });
  return stdout;
}

/**
 * Runs a command that leaves a process behind: that would keep a pipe of this one open for ever, so it prints to
 * `logPath`.
 */
export async function runDetaching(command: string, args: readonly string[], logPath: string): Promise<void> {
  const log = openSync(logPath, 'a');
  const child = spawn(command, args, { stdio: ['ignore', log, log], timeout: TIMEOUT_MS });
  closeSync(log);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return;
  const printed = (await readFile(logPath, 'utf8')).trim().slice(-2000);
  throw new Error(`${command} ${args.join(' ')}: exit ${code}: ${printed}`);
}

/** The path of a process's control group: v2, as /proc tells it. */
export async function groupOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/cgroup`, 'latin1');
  return /^0::(.*)$/m.exec(text)?.[1] ?? '/';
}

/** Returns the arguments that give each pair to a command: `FLAG KEY=VALUE …`. */
export function pairArguments(flag: string, pairs: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(pairs).flatMap(([key, value]) => [flag, `${key}=${value}`]);
}
