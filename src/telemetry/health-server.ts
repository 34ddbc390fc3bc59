// Serves /metrics (Prometheus text), /healthz and /readyz over HTTP. Whoever connects is hostile: all is bounded, nothing
// that a client sends is kept or echoed, and the main thread does no more than one collection a second for them.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Health } from './health.ts';

/** Reason: a scraper or two and a kubelet need one each. Overflow: closed at once, `scrape_connections_refused`. */
export const CONNECTIONS_MAX = 16;
/** Reason: a scraper sends some 300 bytes. Overflow: 431. */
const HEADER_BYTES_MAX = 4096;
/** Reason: a request has no body. Overflow: 408, and the connection is closed. */
const REQUEST_MS_MAX = 5000;
/** Reason: a reader that takes nothing holds the answer's bytes. Overflow: the connection is closed. */
const IDLE_MS_MAX = 10_000;
const REQUESTS_PER_CONNECTION_MAX = 1000;
/** Reason: clients that ask in a loop get the same text, and cost one collection of some milliseconds a second. */
const TEXT_AGE_MS_MAX = 1000;
const TEXT_TYPE = 'text/plain; charset=utf-8';
/** The text format of Prometheus. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface HealthServerOptions {
  /** null: every address of the host, by IPv6 and IPv4, or by IPv4 alone where there is no IPv6. */
  readonly host: string | null;
  readonly port: number;
  readonly health: Health;
  /** Told when metrics can't be collected. */
  readonly onWarning: (message: string, error: unknown) => void;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly type?: string;
}

export class HealthServer {
  readonly #options: HealthServerOptions;
  readonly #server: Server;
  #collect: (() => Promise<string>) | null = null;
  #text: Promise<string> | null = null;
  #collectedMs = 0;
  #refused = 0;

  private constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#server = createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      keepAliveTimeout: IDLE_MS_MAX,
      connectionsCheckingInterval: 1000,
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
    this.#server.setTimeout(IDLE_MS_MAX, (socket) => socket.destroy());
    this.#server.on('drop', () => (this.#refused += 1));
    this.#server.on('request', (request, response) => void this.#answer(request, response));
    // Without a listener an expectation is answered with 100; this refuses it.
    this.#server.on('checkExpectation', (_request, response) => send(response, { status: 417, text: '' }));
  }

  /** Listens; rejects when the address can't be had. */
  static async listen(options: HealthServerOptions): Promise<HealthServer> {
    const server = new HealthServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      const { host, port } = options;
      const address = { ...(host === null ? {} : { host }), port, backlog: CONNECTIONS_MAX };
      server.#server.listen(address, () => resolve());
    });
    server.#server.on('error', (error) => options.onWarning('the metrics port has a fault', error));
    return server;
  }

  /** As it came to be: the port of 0 is chosen by the kernel. */
  get address(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** Counts; they only grow. */
  get counts(): Readonly<Record<string, number>> {
    return { scrape_connections_refused: this.#refused };
  }

  /** Gives what /metrics answers; before, it is 503. */
  serveMetrics(collect: () => Promise<string>): void {
    this.#collect = collect;
  }

  /** Closes all connections. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hasBody = request.headers['content-length'] !== undefined || 'transfer-encoding' in request.headers;
    // A body isn't read, so that another request can't follow it.
    if (hasBody) response.setHeader('Connection', 'close');
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    send(response, isRead ? await this.#answerTo(request.url ?? '') : { status: 405, text: 'GET or HEAD\n' });
  }

  async #answerTo(url: string): Promise<Answer> {
    const { health } = this.#options;
    switch (url.split('?', 1)[0]) {
      case '/healthz':
        return answerOf(health.whyNotAlive());
      case '/readyz':
        return answerOf(health.whyNotReady());
      case '/metrics':
        return this.#metrics();
      default:
        return { status: 404, text: 'there are /metrics, /healthz and /readyz\n' };
    }
  }

  async #metrics(): Promise<Answer> {
    if (this.#collect === null) return { status: 503, text: 'not attached yet\n' };
    try {
      return { status: 200, text: await this.#freshText(this.#collect), type: METRICS_TYPE };
    } catch (error) {
      this.#text = null;
      this.#options.onWarning("fdspan's own metrics can't be collected", error);
      return { status: 500, text: 'the log says why\n' };
    }
  }

  #freshText(collect: () => Promise<string>): Promise<string> {
    const nowMs = performance.now();
    if (this.#text !== null && nowMs - this.#collectedMs < TEXT_AGE_MS_MAX) return this.#text;
    this.#collectedMs = nowMs;
    this.#text = collect();
    return this.#text;
  }
}

function answerOf(reason: string | null): Answer {
  return reason === null ? { status: 200, text: 'ok\n' } : { status: 503, text: `${reason}\n` };
}

function send(response: ServerResponse, { status, text, type = TEXT_TYPE }: Answer): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(text);
}
