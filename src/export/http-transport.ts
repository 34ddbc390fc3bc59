// OTLP/HTTP with binary protobuf, over kept-alive connections.
import * as http from 'node:http';
import * as https from 'node:https';
import type { Credentials } from './credentials.ts';
import type { Encoding } from './encoding.ts';
import type { Endpoint } from './endpoint.ts';
import type { ExportOptions } from './export-options.ts';
import { judgeHttpAnswer, type HttpAnswer } from './http-answer.ts';
import type { SendResult } from './send-result.ts';
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

  constructor(endpoint: Endpoint, options: ExportOptions, credentials: Credentials) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#credentials = credentials;
    const agentOptions = { keepAlive: true, maxSockets: options.requestsInFlightMax };
    this.#agent = endpoint.isSecure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  }

  async send(body: Buffer, encoding: Encoding, signal: AbortSignal): Promise<SendResult> {
    try {
      const requestOptions = await this.#requestOptions(body, encoding);
      const answer = await this.#exchange(requestOptions, body, signal).catch((error: unknown) => {
        if (error instanceof StaleConnectionError) return this.#exchange(requestOptions, body, signal);
        throw error;
      });
      return judgeHttpAnswer(answer, encoding);
    } catch (error) {
      return connectionFailure(error);
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
    const tls = this.#endpoint.isSecure ? await this.#credentials.tls() : {};
    return { method: 'POST', agent: this.#agent, headers, ...tls };
  }

  #exchange(requestOptions: https.RequestOptions, body: Buffer, signal: AbortSignal): Promise<HttpAnswer> {
    const { timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const { request: open } = this.#endpoint.isSecure ? https : http;
      const request = open(this.#endpoint.url, requestOptions);
      // Destroying a request whose answer has begun fails the answer with a reset: this is the true cause.
      let cause: Error | null = null;
      const stop = (error: Error): void => void request.destroy((cause = error));
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
