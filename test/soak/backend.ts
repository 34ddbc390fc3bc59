// A backend that is killed and started again on the same port, and what it has got over all its lives.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export type Protocol = 'grpc' | 'http/protobuf';

const ID_BYTES = 8;

export class Backend {
  port = 0;
  readonly #protocol: Protocol;
  readonly #idsFile: string;
  #process: ChildProcess | null = null;

  /** @param idsFile holds the spans' ids while the backend is used. */
  constructor(protocol: Protocol, idsFile: string) {
    this.#protocol = protocol;
    this.#idsFile = idsFile;
  }

  get isUp(): boolean {
    return this.#process !== null;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}${this.#protocol === 'grpc' ? '' : '/v1/traces'}`;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const script = join(import.meta.dirname, 'receiver.ts');
    const child = spawn(process.execPath, [script, this.#protocol, String(this.port), this.#idsFile], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    this.port = Number(port);
    this.#process = child;
  }

  /** Kills it where it stands. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  /** Returns how many different spans it has got, roots left out, and how many counting those that came again. */
  spans(): { unique: number; all: number } {
    const file = openSync(this.#idsFile, 'r');
    const all = Math.floor(fstatSync(file).size / ID_BYTES);
    const ids = new BigUint64Array(all);
    const bytes = new Uint8Array(ids.buffer);
    for (let at = 0; at < bytes.length;)
      at += readSync(file, bytes, at, Math.min(1 << 30, bytes.length - at), at);
    closeSync(file);
    ids.sort();
    let unique = 0;
    for (let index = 0; index < all; index += 1)
      if (index === 0 || ids[index] !== ids[index - 1]) unique += 1;
    return { unique, all };
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.#idsFile, { force: true });
  }
}
