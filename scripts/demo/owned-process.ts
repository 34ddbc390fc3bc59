// A child process of the demonstration, ended by its own id and never left behind.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface OwnedProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** `lines`: kept in `lines`, and errors and warnings shown; `inherit`: shown as it is; `ignore`: dropped. */
  readonly standardError: 'lines' | 'inherit' | 'ignore';
  /** Standard output is shown unless it is ignored. */
  readonly isSilent?: boolean;
}

export class OwnedProcess {
  readonly lines: string[] = [];
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  exitCode: number | null = null;
  private readonly child: ChildProcess;
  private readonly name: string;
  private isEnded = false;
  private readonly listeners = new Set<() => void>();

  constructor(name: string, program: string, args: readonly string[], options: OwnedProcessOptions) {
    this.name = name;
    const standardError = options.standardError === 'lines' ? 'pipe' : options.standardError;
    this.child = spawn(program, args, {
      // A session of its own: the terminal's Ctrl-C must reach the demo alone, which stops all in order.
      detached: true,
      stdio: ['ignore', options.isSilent === true ? 'ignore' : 'inherit', standardError],
      env: { ...process.env, ...options.env },
    });
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => this.take(`starting ${name}: ${error.message}`));
      this.child.once('close', (code) => {
        this.isEnded = true;
        this.exitCode = code;
        this.notify();
        resolve();
      });
    });
    if (this.child.stderr !== null) createInterface(this.child.stderr).on('line', (line) => this.take(line));
    process.once('exit', () => this.child.kill('SIGKILL'));
  }

  /** Resolves with the first line that fits; rejects when the process ends or the time is over before it. */
  waitForLine(fits: (line: string) => boolean, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer);
        this.listeners.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = setTimeout(
        () => finish(new Error(`${this.name} isn't ready after ${deadlineMs} ms`)),
        deadlineMs,
      );
      const look = (): void => {
        if (this.lines.some(fits)) finish();
        else if (this.isEnded)
          finish(new Error(`${this.name} ended with ${this.exitCode}:\n${this.lines.join('\n')}`));
      };
      this.listeners.add(look);
      look();
    });
  }

  /** Ends the process with SIGTERM, and after the deadline with SIGKILL; resolves when it has ended. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.isEnded) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), deadlineMs);
    await this.ended;
    clearTimeout(timer);
  }

  private take(line: string): void {
    this.lines.push(line);
    if (/"level":"(warn|error|fatal)"/.test(line)) console.error(line);
    this.notify();
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
  }
}
