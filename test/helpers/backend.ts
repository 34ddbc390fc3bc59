// Starts and kills a backend that is a process of its own (backend-process.ts), and reads what it took.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface BackendOptions {
  readonly protocol: 'grpc' | 'http/protobuf';
  readonly port: number;
  /** Where a file of its requests goes. */
  readonly folder: string;
  /** When it kills itself. */
  readonly death?: { readonly at: 'in-request' | 'before-answer'; readonly request: number };
}

const program = join(import.meta.dirname, 'backend-process.ts');

export class Backend {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #waiters: { readonly line: string; readonly resolve: () => void }[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'close');
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const due = this.#waiters.filter((waiter) => waiter.line === line);
      for (const waiter of due) {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        waiter.resolve();
      }
    });
  }

  /** Resolves once it listens. */
  static async start({ protocol, port, folder, death }: BackendOptions): Promise<Backend> {
    const end = death === undefined ? [] : [death.at, String(death.request)];
    const child = spawn(process.execPath, [program, protocol, String(port), folder, ...end], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const killAtExit = (): void => void child.kill('SIGKILL');
    process.on('exit', killAtExit);
    child.on('close', () => process.off('exit', killAtExit));
    const backend = new Backend(child);
    const isListening = await Promise.race([backend.says('listening'), backend.#ended.then(() => false)]);
    if (!isListening) throw new Error('the backend ended before it listened');
    return backend;
  }

  /** Resolves when it has taken one more request. */
  taken(): Promise<true> {
    return this.says('taken');
  }

  /** Resolves when it has died by itself. */
  async died(): Promise<void> {
    await this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  says(line: string): Promise<true> {
    return new Promise((resolve) => this.#waiters.push({ line, resolve: () => resolve(true) }));
  }
}

/** Reads the requests in the files of backends, those that came since the last time. */
export class TakenRequests {
  readonly #folder: string;
  readonly #readTo = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  next(take: (request: Buffer) => void): void {
    for (const name of readdirSync(this.#folder)) {
      const from = this.#readTo.get(name) ?? 0;
      this.#readTo.set(name, from + takeEach(bytesFrom(join(this.#folder, name), from), take));
    }
  }
}

/** Returns the bytes of whole requests: one that its backend died in the middle of writing was never answered. */
function takeEach(bytes: Buffer, take: (request: Buffer) => void): number {
  let at = 0;
  while (at + 4 <= bytes.length && at + 4 + bytes.readUInt32LE(at) <= bytes.length) {
    const end = at + 4 + bytes.readUInt32LE(at);
    take(bytes.subarray(at + 4, end));
    at = end;
  }
  return at;
}

function bytesFrom(path: string, from: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(fstatSync(file).size - from);
    readSync(file, bytes, 0, bytes.length, from);
    return bytes;
  } finally {
    closeSync(file);
  }
}
