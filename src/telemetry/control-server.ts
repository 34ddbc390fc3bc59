// The control socket's server: answers `status`, `containers` and whatever handlers it was given, and
// streams rows to `tail`. For root only (0600). Nothing that a client does may stall the collector.
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { makeFolder } from '../model/make-folder.ts';
import { ControlConnection } from './control-connection.ts';
import { ControlError, type ControlRequest } from './control-protocol.ts';
import { RowBudget } from './span-rows.ts';

/**
 * Answers one command; what it returns must be JSON without bigints. A generator's values are lines of their own, each
 * asked for when there is room for it, and what it returns is the last one.
 */
export type ControlHandler = (request: ControlRequest) => unknown;

export interface ControlServerOptions {
  readonly path: string;
  readonly handlers: Readonly<Record<string, ControlHandler>>;
  /** For the stats that `tail` shows each second. */
  readonly counters: () => Readonly<Record<string, number>>;
  readonly onWarning: (msg: string, error: unknown) => void;
  readonly rowsPerSecondMax?: number;
  readonly idleDeadlineMs?: number;
}

/** Reason: some operators and a health check; each may hold 1 MiB. Overflow: refused with a message. */
export const CLIENTS_MAX = 16;

/** Reason: a client sends its request at once; a hung one must not hold one of the places. */
const IDLE_DEADLINE_MS = 5000;

const STATS_INTERVAL_MS = 1000;
const PROBE_DEADLINE_MS = 1000;
const SOCKET_MODE = 0o600;

/** Tells whether a process listens on the socket file. */
function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.setTimeout(PROBE_DEADLINE_MS, () => finish(true));
    probe.on('connect', () => finish(true));
    probe.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') finish(false);
      else reject(error);
    });
    function finish(answers: boolean): void {
      probe.destroy();
      resolve(answers);
    }
  });
}

async function removeStale(path: string): Promise<void> {
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (!file.isSocket()) {
    throw new ControlError('failed', `control socket ${path}: there is a file that is no socket; remove it`);
  }
  if (await isAnswering(path)) {
    const cure = 'stop the other fdspan, or give this one another control.socket';
    throw new ControlError('in_use', `control socket ${path}: a running fdspan answers on it; ${cure}`);
  }
  unlinkSync(path);
}

/** The mask covers the moment between bind and chmod; bind happens inside `listen`, synchronously. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new ControlError('failed', `listening on control socket ${path}: ${cause.code}`, { cause }));
    });
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => {
        chmodSync(path, SOCKET_MODE);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

function isLines(answer: unknown): answer is AsyncGenerator<unknown, unknown, void> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;
}

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #clients = new Set<ControlConnection>();
  readonly #budget: RowBudget;
  #tails = 0;
  #statsTimer: NodeJS.Timeout | null = null;
  #clientsRefused = 0;

  private constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#budget = new RowBudget(options.rowsPerSecondMax);
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Listens; replaces the socket file of a dead process. Throws a ControlError otherwise. */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    try {
      await makeFolder(dirname(options.path), 0o755);
      await removeStale(options.path);
    } catch (cause) {
      if (cause instanceof ControlError) throw cause;
      throw new ControlError('failed', `preparing control socket ${options.path}: ${String(cause)}`, {
        cause,
      });
    }
    const control = new ControlServer(options);
    await listen(control.#server, options.path);
    control.#server.on('error', (error) => options.onWarning('control socket', error));
    return control;
  }

  /** Whether `offerRequest` has a reader; without one, don't call it. */
  get hasTail(): boolean {
    return this.#tails > 0;
  }

  get clientsRefused(): number {
    return this.#clientsRefused;
  }

  /** Shows a sealed request's spans to the tails. Reads the bytes before it returns, and keeps none. */
  offerRequest(request: Uint8Array): void {
    if (!this.hasTail) return;
    try {
      const decoded = this.#budget.decode(request);
      for (const client of this.#clients) if (client.isTail) client.offer(decoded);
    } catch (error) {
      this.#options.onWarning('decoding a request for tail', error);
    }
  }

  /** Ends the streams, closes and removes the socket. */
  close(): Promise<void> {
    if (this.#statsTimer !== null) clearInterval(this.#statsTimer);
    this.#sendStats();
    for (const client of this.#clients) client.close();
    const clients = this.#clients;
    const deadline = setTimeout(() => clients.forEach((client) => client.destroy()), PROBE_DEADLINE_MS);
    return new Promise((resolve) => {
      this.#server.close(() => {
        clearTimeout(deadline);
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    if (this.#clients.size >= CLIENTS_MAX) {
      this.#clientsRefused++;
      socket.on('error', () => socket.destroy());
      socket.end(`${JSON.stringify({ ok: false, error: `${CLIENTS_MAX} clients are connected already` })}\n`);
      socket.destroySoon();
      return;
    }
    const client = new ControlConnection({
      socket,
      idleDeadlineMs: this.#options.idleDeadlineMs ?? IDLE_DEADLINE_MS,
      onRequest: (request, connection) => void this.#handle(request, connection),
      onClosed: (connection) => this.#forget(connection),
    });
    this.#clients.add(client);
  }

  #forget(client: ControlConnection): void {
    this.#clients.delete(client);
    if (client.isTail) this.#tails--;
    if (this.#tails === 0 && this.#statsTimer !== null) {
      clearInterval(this.#statsTimer);
      this.#statsTimer = null;
    }
  }

  async #handle(request: ControlRequest, client: ControlConnection): Promise<void> {
    if (request.command === 'tail') return this.#startTail(client);
    const { handlers } = this.#options;
    if (!Object.hasOwn(handlers, request.command)) {
      return client.refuse(`there is no command ${JSON.stringify(request.command).slice(0, 100)}`);
    }
    try {
      const answer = await handlers[request.command](request);
      if (isLines(answer)) await client.stream(answer);
      else client.answer(answer);
    } catch (error) {
      this.#options.onWarning('answering a control request', error);
      client.refuse(error instanceof Error ? error.message : String(error));
    }
  }

  #startTail(client: ControlConnection): void {
    if (!this.#clients.has(client)) return;
    client.startTail();
    this.#tails++;
    this.#statsTimer ??= setInterval(() => this.#sendStats(), STATS_INTERVAL_MS).unref();
    client.sendStats(this.#options.counters());
  }

  #sendStats(): void {
    if (!this.hasTail) return;
    const counters = this.#options.counters();
    for (const client of this.#clients) if (client.isTail) client.sendStats(counters);
  }
}
