// OTLP/HTTP with binary protobuf, over kept-alive connections.
import * as http from 'node:http';
import * as https from 'node:https';
import type { Duplex } from 'node:stream';
import * as tls from 'node:tls';
import type { Credentials } from './credentials.ts';
import type { Encoding } from './encoding.ts';
import type { Endpoint } from './endpoint.ts';
import type { ExportOptions } from './export-options.ts';
import { judgeHttpAnswer, type HttpAnswer } from './http-answer.ts';
import type { SendResult } from './send-result.ts';
import { asProxys, hopTo, openTunnel, proxyFor, throughProxy, type Proxy } from './proxy.ts';
import { connectionFailure, timeoutError, type Transport } from './transport.ts';

/** Bytes read of an answer: a partial success or an error text is far smaller, the rest is not worth the memory. */
export const ANSWER_BYTES_MAX = 64 * 1024;

/** The server closed a kept-alive connection while the request was on its way: it never saw it. */
class StaleConnectionError extends Error {}

export class HttpTransport implements Transport {
  readonly #endpoint: Endpoint;
  readonly #options: ExportOptions;
  readonly #credentials: Credentials;
  readonly #agent: http.Agent;
  readonly #proxy: Proxy | null;

  constructor(endpoint: Endpoint, options: ExportOptions, credentials: Credentials) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#credentials = credentials;
    const agentOptions = { keepAlive: true, maxSockets: options.requestsInFlightMax };
    this.#proxy = proxyFor(endpoint, options.protocol, options.proxyVariables ?? {});
    const isProxySecure = this.#proxy?.url?.protocol === 'https:';
    if (endpoint.isSecure && this.#proxy !== null)
      this.#agent = new TunnelAgent(this.#proxy, endpoint.url, options.timeoutMs, agentOptions);
    else if (endpoint.isSecure || isProxySecure) this.#agent = new https.Agent(agentOptions);
    else this.#agent = new http.Agent(agentOptions);
  }

  async send(body: Buffer, encoding: Encoding, signal: AbortSignal): Promise<SendResult> {
    try {
      const requestOptions = await this.#requestOptions(body, encoding);
      const answer = await this.#exchange(requestOptions, body, signal).catch((error: unknown) => {
        if (error instanceof StaleConnectionError) return this.#exchange(requestOptions, body, signal);
        throw error;
      });
      // Nobody else says that: the spans were not refused.
      if (this.#proxy !== null && answer.status === 407)
        throw throughProxy(this.#proxy, new Error('it answers with HTTP 407'));
      return judgeHttpAnswer(answer, encoding);
    } catch (error) {
      const cause = (error instanceof StaleConnectionError ? error.cause : error) as Error;
      return connectionFailure(this.#isForwarded ? asProxys(this.#proxy!, cause) : cause);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #requestOptions(body: Buffer, encoding: Encoding): Promise<https.RequestOptions> {
    const headers: Record<string, string | number> = {
      'user-agent': this.#options.userAgent,
      ...(await this.#credentials.headers()),
      'content-type': 'application/x-protobuf',
      'content-length': body.length,
    };
    if (encoding !== 'identity') headers['content-encoding'] = encoding;
    const tlsFiles = this.#endpoint.isSecure ? await this.#credentials.tls() : {};
    const sent = { method: 'POST', agent: this.#agent, headers, ...tlsFiles };
    if (this.#proxy === null || !this.#isForwarded) return sent;
    const { hop } = hopTo(this.#proxy);
    const { url } = this.#endpoint;
    // Not `href`: user and password are in a header, and proxies log the path.
    const path = url.origin + url.pathname + url.search;
    return { ...sent, ...hop, path, headers: { ...headers, ...hop.headers, host: url.host } };
  }

  /** The proxy gets each request as such; with TLS it sees bytes only. */
  get #isForwarded(): boolean {
    return this.#proxy !== null && !this.#endpoint.isSecure;
  }

  #exchange(requestOptions: https.RequestOptions, body: Buffer, signal: AbortSignal): Promise<HttpAnswer> {
    const { timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const { request: open } = this.#agent instanceof https.Agent ? https : http;
      const request = open(this.#endpoint.url, requestOptions);
      // Destroying a request whose answer has begun fails the answer with a reset: this is the true cause.
      let cause: Error | null = null;
      const stop = (error: Error): void => {
        request.destroy((cause = error));
        // One that waits for its tunnel would tell of it only then.
        if (request.socket !== null) return;
        end();
        reject(error);
      };
      const timer = setTimeout(() => stop(timeoutError(timeoutMs)), timeoutMs);
      const abort = (): void => stop(new Error('given up by the exporter'));
      signal.addEventListener('abort', abort, { once: true });
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
      };
      let isAnswered = false;
      request.on('error', (error: NodeJS.ErrnoException) => {
        end();
        const isStale =
          request.reusedSocket && !isAnswered && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        reject(isStale ? new StaleConnectionError('', { cause: error }) : (cause ?? error));
      });
      request.on('response', (response) => {
        isAnswered = true;
        readAnswer(response).then(
          (answer) => {
            end();
            // An answer before the end of the request, or one that was cut: the connection can't be used again.
            if (answer.isCut || !request.writableFinished) request.destroy();
            resolve(answer);
          },
          (error: unknown) => {
            end();
            reject(cause ?? (error as Error));
          },
        );
      });
      // Nobody asked for another protocol (101): an answer without the event of one, and no error either.
      request.on('upgrade', (response, socket) => {
        isAnswered = true;
        end();
        socket.destroy();
        resolve(answerOf(response, [], false));
      });
      request.on('close', () => {
        if (isAnswered) return;
        end();
        reject(cause ?? new Error('the connection was closed without an answer'));
      });
      if (signal.aborted) abort();
      else request.end(body);
    });
  }
}

/** Connections to a backend with TLS, through a proxy. */
class TunnelAgent extends https.Agent {
  readonly #proxy: Proxy;
  readonly #endpoint: URL;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();

  constructor(proxy: Proxy, endpoint: URL, timeoutMs: number, options: https.AgentOptions) {
    super(options);
    this.#proxy = proxy;
    this.#endpoint = endpoint;
    this.#timeoutMs = timeoutMs;
  }

  override destroy(): void {
    this.#closed.abort();
    super.destroy();
  }

  override createConnection(
    options: tls.ConnectionOptions,
    done: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(this.#timeoutMs)]);
    openTunnel(this.#proxy, this.#endpoint, signal).then(
      (socket) => {
        let secured: tls.TLSSocket;
        try {
          // The options name the backend's host: without it no certificate would be asked for that name.
          secured = tls.connect({ ...options, socket });
        } catch (error) {
          // Throws where a key isn't its certificate's, as between the replacing of the one and of the other.
          socket.destroy();
          done(error as Error);
          return;
        }
        done(null, secured);
      },
      (error: Error) => done(error),
    );
  }
}

async function readAnswer(response: http.IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let isCut = false;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) {
      isCut = true;
      break;
    }
  }
  return answerOf(response, chunks, isCut);
}

function answerOf(response: http.IncomingMessage, chunks: readonly Buffer[], isCut: boolean): HttpAnswer {
  return {
    status: response.statusCode ?? 0,
    contentType: response.headers['content-type'] ?? '',
    retryAfter: response.headers['retry-after'],
    location: response.headers.location,
    body: Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX),
    isCut,
  };
}
