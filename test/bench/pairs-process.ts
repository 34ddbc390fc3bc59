// The bench's load (programs/pairs.c): a process, in a container's group or outside of all, that does pairs
// when told and answers with the time of one.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { join } from 'node:path';

const program = join(import.meta.dirname, '../../build/bench/pairs');

export class PairsProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(child: ChildProcess, reader: Interface, answers: AsyncIterator<string>, pid: number) {
    this.#child = child;
    this.#reader = reader;
    this.#answers = answers;
    this.pid = pid;
  }

  /** Starts it, executed inside the group so that it is the container's and not its runtime's, on one core. */
  static async start(procsFile: string | null, core: number): Promise<PairsProcess> {
    const join = procsFile === null ? '' : 'echo $$ > "$1"; ';
    const script = `${join}shift; exec taskset -c "$1" "$2"`;
    const child = spawn('/bin/sh', ['-ec', script, 'sh', procsFile ?? '', String(core), program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const reader = createInterface({ input: child.stdout });
    const answers = reader[Symbol.asyncIterator]();
    const first = await answers.next();
    if (first.done === true) throw new Error(`${program} ended before it was told anything`);
    return new PairsProcess(child, reader, answers, (JSON.parse(first.value) as { waiting: number }).waiting);
  }

  /** Nanoseconds of one open+close pair of the file. */
  pairs(count: number, path: string): Promise<number> {
    return this.#ask(`pairs ${count} ${path}`);
  }

  /** Nanoseconds of one pread() of a byte of the file. */
  reads(count: number, path: string): Promise<number> {
    return this.#ask(`reads ${count} ${path}`);
  }

  /** Nanoseconds of one getppid(). */
  calls(count: number): Promise<number> {
    return this.#ask(`calls ${count}`);
  }

  /** Resolves when `count` pairs were made at `rate` a second. */
  async paced(count: number, rate: number, path: string): Promise<void> {
    await this.#ask(`paced ${count} ${rate} ${path}`);
  }

  async hold(count: number, path: string): Promise<void> {
    await this.#ask(`hold ${count} ${path}`);
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin?.end();
    await ended;
    this.#reader.close();
  }

  async #ask(order: string): Promise<number> {
    this.#child.stdin?.write(`${order}\n`);
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error(`${program} ended at: ${order}`);
    return Number(answer.value);
  }
}
