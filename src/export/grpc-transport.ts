// OTLP/gRPC: unary calls over one node:http2 session, with bodies that were compressed before
// (docs/decisions/0004-export-transports.md). A session that failed is never used again.
import * as http2 from 'node:http2';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import * as tls from 'node:tls';
import type { Credentials, TlsMaterial } from './credentials.ts';
import type { Encoding } from './encoding.ts';
import { hostOf, type Endpoint } from './endpoint.ts';
import type { ExportOptions } from './export-options.ts';
import { judgeGrpcAnswer, type GrpcAnswer } from './grpc-answer.ts';
import { ANSWER_BYTES_MAX } from './http-transport.ts';
import { openTunnel, proxyFor, type Proxy } from './proxy.ts';
import type { SendResult } from './send-result.ts';
import { connectionFailure, timeoutError, type Transport } from './transport.ts';

const EXPORT_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

const { NGHTTP2_REFUSED_STREAM } = http2.constants;

/** One object: a session is kept as long as its TLS files are the same. */
const NO_TLS: TlsMaterial = {};

/** The server didn't look at the request: it was going away, or the connection was already closed. */
class UnprocessedError extends Error {}

interface Session {
  readonly client: http2.ClientHttp2Session;
  readonly tls: TlsMaterial;
  /** Why it ended: the streams' own errors only say that it did. */
  error: Error | null;
  /** At least one answer came: a failure now is a connection grown old, not a backend that is down. */
  isProven: boolean;
  openStreams: number;
}

export class GrpcTransport implements Transport {
  readonly #endpoint: Endpoint;
  readonly #options: ExportOptions;
  readonly #credentials: Credentials;
  readonly #proxy: Proxy | null;
  #session: Session | null = null;
  /** The tunnel that requests wait for together. */
  #opening: Promise<Session> | null = null;

  constructor(endpoint: Endpoint, options: ExportOptions, credentials: Credentials) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#credentials = credentials;
    this.#proxy = proxyFor(endpoint, options.protocol, options.proxyVariables ?? {});
  }

  async send(body: Buffer, encoding: Encoding, signal: AbortSignal): Promise<SendResult> {
    try {
      const headers = await this.#headers(encoding);
      const files = this.#endpoint.isSecure ? await this.#credentials.tls() : NO_TLS;
      const call = async (): Promise<GrpcAnswer> =>
        this.#call(await this.#sessionFor(files, signal), headers, body, signal);
      const answer = await call().catch((error: unknown) => {
        if (error instanceof UnprocessedError) return call();
        throw error;
      });
      return judgeGrpcAnswer(answer, encoding);
    } catch (error) {
      return connectionFailure(error instanceof UnprocessedError ? error.cause : error);
    }
  }

  close(): void {
    this.#session?.client.destroy();
    this.#session = null;
  }

  async #headers(encoding: Encoding): Promise<http2.OutgoingHttpHeaders> {
    const headers: http2.OutgoingHttpHeaders = {
      'user-agent': this.#options.userAgent,
      ...(await this.#credentials.headers()),
      ':method': 'POST',
      ':path': EXPORT_PATH,
      te: 'trailers',
      'content-type': 'application/grpc',
      'grpc-timeout': `${this.#options.timeoutMs}m`,
      'grpc-accept-encoding': 'identity',
    };
    if (encoding !== 'identity') headers['grpc-encoding'] = encoding;
    return headers;
  }

  async #sessionFor(files: TlsMaterial, signal: AbortSignal): Promise<Session> {
    const current = this.#session;
    if (current !== null && current.tls === files && !current.client.closed && !current.client.destroyed)
      return current;
    if (current !== null) this.#retire(current);
    if (this.#proxy === null) return this.#begin(files, files);
    this.#opening ??= this.#beginThrough(this.#proxy, files, signal).finally(() => (this.#opening = null));
    return this.#opening;
  }

  async #beginThrough(proxy: Proxy, files: TlsMaterial, signal: AbortSignal): Promise<Session> {
    const { url, isSecure } = this.#endpoint;
    const deadline = AbortSignal.timeout(this.#options.timeoutMs);
    const socket = await openTunnel(proxy, url, AbortSignal.any([signal, deadline]));
    const createConnection = (): Duplex =>
      isSecure ? tls.connect({ ...files, socket, ...serverName(url), ALPNProtocols: ['h2'] }) : socket;
    try {
      return this.#begin(files, { createConnection });
    } catch (error) {
      // Throws where a key isn't its certificate's, as between the replacing of the one and of the other.
      socket.destroy();
      throw error;
    }
  }

  #begin(files: TlsMaterial, options: http2.SecureClientSessionOptions): Session {
    const client = http2.connect(this.#endpoint.url.origin, options);
    const session: Session = { client, tls: files, error: null, isProven: false, openStreams: 0 };
    this.#session = session;
    client.on('error', (error) => (session.error = error));
    client.on('goaway', () => this.#retire(session));
    client.on('close', () => this.#retire(session));
    return session;
  }

  /** Opens no more streams on a session; those under way may still end well. */
  #retire(session: Session): void {
    if (this.#session === session) this.#session = null;
    session.client.close();
  }

  #call(
    session: Session,
    headers: http2.OutgoingHttpHeaders,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<GrpcAnswer> {
    return new Promise((resolve, reject) => {
      const { timeoutMs } = this.#options;
      const stream = session.client.request(headers);
      session.openStreams += 1;
      let cause: Error | null = null;
      const stop = (error: Error): void => {
        cause = error;
        // A connection that lost its other end without a word is only noticed by its silence.
        this.#retire(session);
        stream.close(http2.constants.NGHTTP2_CANCEL);
        stream.destroy();
      };
      const timer = setTimeout(() => stop(timeoutError(timeoutMs)), timeoutMs);
      const abort = (): void => stop(new Error('given up by the exporter'));
      signal.addEventListener('abort', abort, { once: true });
      const answer = collectAnswer(stream);
      let streamError: Error | null = null;
      stream.on('error', (error) => (streamError = error));
      stream.on('close', () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        session.openStreams -= 1;
        // close() alone would wait for a silent peer to take what is still unsent.
        if (session.client.closed && session.openStreams === 0) session.client.destroy();
        const ended = answer();
        if (ended !== null && cause === null) {
          session.isProven = true;
          resolve(ended);
          return;
        }
        const error =
          cause ?? session.error ?? streamError ?? new Error('the stream was closed without an answer');
        const isUnprocessed = cause === null && wasUnprocessed(stream, session, streamError);
        reject(isUnprocessed ? new UnprocessedError('', { cause: error }) : error);
      });
      if (signal.aborted) {
        abort();
        return;
      }
      stream.cork();
      stream.write(framePrefix(body.length, headers['grpc-encoding'] !== undefined));
      stream.end(body);
      stream.uncork();
    });
  }
}

/** Which name the certificate must have: an address is none that TLS can ask for, but is checked all the same. */
function serverName(url: URL): tls.ConnectionOptions {
  const host = hostOf(url);
  return isIP(host) === 0 ? { host, servername: host } : { host };
}

/** Tells whether the server never took the request: such a one is sent again at once, on a new session. */
function wasUnprocessed(
  stream: http2.ClientHttp2Stream,
  session: Session,
  error: NodeJS.ErrnoException | null,
): boolean {
  if (error?.code === 'ERR_HTTP2_GOAWAY_SESSION') return true;
  return session.isProven && (stream.rstCode === NGHTTP2_REFUSED_STREAM || stream.id === undefined);
}

/** Five bytes before each message: whether it is compressed, and its length. */
function framePrefix(bodyBytes: number, isCompressed: boolean): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = isCompressed ? 1 : 0;
  prefix.writeUInt32BE(bodyBytes, 1);
  return prefix;
}

/** Gathers an answer, bounded; the function returned gives null when none came. */
function collectAnswer(stream: http2.ClientHttp2Stream): () => GrpcAnswer | null {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on('response', (headers) => (head = headers));
  stream.on('trailers', (headers) => (trailers = headers));
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= ANSWER_BYTES_MAX) chunks.push(chunk);
    else if (bytes > 16 * ANSWER_BYTES_MAX) stream.close(http2.constants.NGHTTP2_CANCEL);
  });
  return () => {
    const text = (name: string): string | undefined => (trailers[name] ?? head[name]) as string | undefined;
    const httpStatus = head[':status'] ?? 0;
    if (httpStatus === 0 || (httpStatus === 200 && text('grpc-status') === undefined && stream.rstCode !== 0))
      return null;
    return {
      httpStatus,
      status: text('grpc-status'),
      message: text('grpc-message'),
      detailsBase64: text('grpc-status-details-bin'),
      body: Buffer.concat(chunks),
      isCut: bytes > ANSWER_BYTES_MAX,
    };
  };
}
