// Daemons and commands that tests start: each ended by its own pid, with what it printed kept for the error.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Reason: a daemon is ready, and a command done, in 1 s; 30 of them mean that it hangs. */
const TIMEOUT_MS = 30_000;
const POLL_MS = 50;

export interface Daemon {
  readonly pid: number;
  /** Ends it by SIGTERM, and SIGKILL when that doesn't help; may be called twice. */
  stop(): Promise<void>;
}

/** Runs a command to its end and returns what it printed. It has no terminal, and a pipe that it can't keep open. */
export async function runCommand(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, args, { timeout: TIMEOUT_MS, maxBuffer: 16 << 20 });
  return stdout;
}

/**
 * Runs a command that leaves a process behind: that would keep a pipe of this one open for ever, so it prints to
 * `logPath`.
 */
export async function runDetaching(command: string, args: readonly string[], logPath: string): Promise<void> {
  const child = spawnLogged(command, args, logPath);
  const code = await new Promise((resolve, reject) => {
    child.once('exit', resolve);
    child.once('error', reject);
  });
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')}: exit ${String(code)}: ${await logOf(logPath)}`);
}

/** Starts a daemon and resolves once `isReady` does without an error. */
export async function startDaemon(
  command: string,
  args: readonly string[],
  options: { readonly logPath: string; readonly isReady: () => Promise<unknown> },
): Promise<Daemon> {
  const child = spawnLogged(command, args, options.logPath);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const daemon: Daemon = {
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
  try {
    await waitFor(options.isReady, () => child.exitCode !== null);
  } catch (error) {
    await daemon.stop();
    throw new Error(`starting ${command}: ${await logOf(options.logPath)}`, { cause: error });
  }
  return daemon;
}

/** Waits until `attempt` gives a value without an error. */
export async function waitFor<T>(attempt: () => Promise<T>, isHopeless = (): boolean => false): Promise<T> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline || isHopeless()) throw error;
      await delay(POLL_MS);
    }
  }
}

function spawnLogged(command: string, args: readonly string[], logPath: string): ChildProcess {
  const log = openSync(logPath, 'a');
  try {
    return spawn(command, args, { stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

async function logOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trim().slice(-2000);
}

/** The path of a process's control group: v2, as /proc tells it. */
export async function groupOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/cgroup`, 'latin1');
  return /^0::(.*)$/m.exec(text)?.[1] ?? '/';
}

/** Removes a group and the empty ones below it, in every hierarchy. */
export async function removeGroups(path: string): Promise<void> {
  const hierarchies = (await readdir('/sys/fs/cgroup')).map((name) => join('/sys/fs/cgroup', name));
  for (const mount of ['/sys/fs/cgroup', ...hierarchies]) {
    const folder = join(mount, path);
    const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
    const below = entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const group of [folder, ...below].sort((a, b) => b.length - a.length)) {
      await rmdir(group).catch(() => undefined);
    }
  }
}
