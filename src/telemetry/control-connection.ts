// One client of the control socket, at the server: reads its request within size and time, writes
// answers, and drops rows instead of holding them when the client reads slowly.
import type { Socket } from 'node:net';
import {
  LineSplitter,
  REQUEST_BYTES_MAX,
  type ControlRequest,
  type TailMessage,
} from './control-protocol.ts';
import type { DecodedRows } from './span-rows.ts';

/** Reason: two seconds of rows at 400 bytes; overflow: rows are dropped, and the client is told. */
const UNREAD_BYTES_MAX = 1 << 20;

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly idleDeadlineMs: number;
  readonly onRequest: (request: ControlRequest, connection: ControlConnection) => void;
  readonly onClosed: (connection: ControlConnection) => void;
}

function parseRequest(line: string): ControlRequest | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'the request is not JSON: send one object on one line';
  }
  const { command } = (value ?? {}) as { command?: unknown };
  if (typeof command !== 'string') return 'the request has no "command"';
  return value as ControlRequest;
}

export class ControlConnection {
  readonly #options: ConnectionOptions;
  readonly #lines = new LineSplitter(REQUEST_BYTES_MAX);
  #isAsked = false;
  isTail = false;
  #spans = 0;
  #skipped = 0;
  #dropped = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { socket } = options;
    socket.setTimeout(options.idleDeadlineMs, () => this.refuse('no request came in time'));
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('end', () => this.#readEnd());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => options.onClosed(this));
  }

  /** Keeps the connection open for rows and stats. */
  startTail(): void {
    this.isTail = true;
    this.#options.socket.setTimeout(0);
  }

  answer(result: unknown): void {
    this.#end({ ok: true, result });
  }

  /** Writes each value as a line and the returned one as the answer; ends the generator when the client is gone. */
  async stream(lines: AsyncGenerator<unknown, unknown, void>): Promise<void> {
    const { socket, idleDeadlineMs } = this.#options;
    // Of writes: a client that reads nothing for so long is given up.
    socket.setTimeout(idleDeadlineMs, () => socket.destroy());
    try {
      while (socket.writable) {
        const line = await lines.next();
        if (line.done === true) return this.answer(line.value);
        if (!socket.write(`${JSON.stringify(line.value)}\n`)) await this.#written();
      }
    } finally {
      await lines.return(undefined);
    }
  }

  refuse(error: string): void {
    this.#end({ ok: false, error });
  }

  offer({ rows, spans, skipped }: DecodedRows): void {
    this.#spans += spans;
    this.#skipped += skipped;
    if (rows.length === 0) return;
    if (this.#options.socket.writableLength > UNREAD_BYTES_MAX) this.#dropped += rows.length;
    else this.#send({ type: 'rows', rows });
  }

  sendStats(counters: Readonly<Record<string, number>>): void {
    if (this.#options.socket.writableLength > UNREAD_BYTES_MAX) return;
    const stats = { spans: this.#spans, skipped: this.#skipped, dropped: this.#dropped, counters };
    this.#send({ type: 'stats', stats });
  }

  close(): void {
    this.#options.socket.end();
  }

  destroy(): void {
    this.#options.socket.destroy();
  }

  #written(): Promise<void> {
    const { socket } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off('drain', done).off('close', done);
        resolve();
      };
      socket.on('drain', done).on('close', done);
    });
  }

  #send(message: TailMessage): void {
    if (this.#options.socket.writable) this.#options.socket.write(`${JSON.stringify(message)}\n`);
  }

  /** A client that doesn't read its answer or doesn't close is closed after the idle deadline. */
  #end(response: unknown): void {
    const { socket, idleDeadlineMs } = this.#options;
    if (!socket.writable) return;
    this.#isAsked = true;
    socket.setTimeout(idleDeadlineMs, () => socket.destroy());
    socket.end(`${JSON.stringify(response)}\n`);
  }

  /** A client may close its half after the request; the answer still goes out. */
  #readEnd(): void {
    if (this.isTail || !this.#isAsked) this.#options.socket.end();
  }

  #read(chunk: Buffer): void {
    if (this.#isAsked) return;
    const lines = this.#lines.push(chunk);
    if (lines === null) return this.refuse(`the request has more than ${REQUEST_BYTES_MAX} bytes`);
    if (lines.length === 0) return;
    this.#isAsked = true;
    const request = parseRequest(lines[0]);
    if (typeof request === 'string') return this.refuse(request);
    this.#options.socket.setTimeout(0);
    this.#options.onRequest(request, this);
  }
}
