// A real OTLP receiver on loopback, decoded by protobufjs: independent of fdspan's own encoder. Both
// protocols, both compressions.
import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import protobuf from 'protobufjs';

const root = await protobuf.load(join(import.meta.dirname, 'proto/otlp-trace.proto'));
const requestType = root.lookupType('otlp.ExportTraceServiceRequest');

export interface ReceivedSpan {
  readonly resource: { readonly attributes: Readonly<Record<string, unknown>> };
  readonly scope: { readonly name: string; readonly version: string };
  readonly schemaUrl: string;
  readonly span: {
    readonly traceId: string;
    readonly spanId: string;
    readonly parentSpanId: string;
    readonly name: string;
    readonly kind: number;
    readonly startTimeUnixNano: bigint;
    readonly endTimeUnixNano: bigint;
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly status: { readonly code: number; readonly message: string };
  };
}

export interface Receiver {
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
  /** Encodings of the requests in the order they came. */
  readonly encodings: readonly string[];
  close(): Promise<void>;
}

/** Starts a receiver that accepts everything. Spans are decoded when they are first asked for. */
export async function startReceiver(options: { protocol: 'grpc' | 'http/protobuf' }): Promise<Receiver> {
  const bodies: Buffer[] = [];
  const encodings: string[] = [];
  const take = (body: Buffer, encoding: string): void => {
    encodings.push(encoding);
    bodies.push(decompressed(body, encoding));
  };
  const { server, end } = options.protocol === 'grpc' ? grpcServer(take) : httpServer(take);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const spans: ReceivedSpan[] = [];
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    encodings,
    get spans() {
      for (const body of bodies.splice(0)) spans.push(...decode(body));
      return spans;
    },
    close: async () => {
      end();
      server.close();
      await once(server, 'close');
    },
  };
}

type Take = (body: Buffer, encoding: string) => void;

function httpServer(take: Take): { server: Server; end: () => void } {
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const isOtlp =
        request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf';
      if (isOtlp) take(Buffer.concat(chunks), request.headers['content-encoding'] ?? 'identity');
      response.writeHead(isOtlp ? 200 : 404, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  return { server, end: () => server.closeAllConnections() };
}

const GRPC_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

/** One unary method by hand: grpc-js can't take zstd, which the OpenTelemetry Collector does. */
function grpcServer(take: Take): { server: Http2Server; end: () => void } {
  const server = createHttp2Server();
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const frame = Buffer.concat(chunks);
      const isWhole = headers[':path'] === GRPC_PATH && frame.readUInt32BE(1) === frame.length - 5;
      const encoding = frame[0] === 1 ? String(headers['grpc-encoding']) : 'identity';
      if (isWhole) take(frame.subarray(5), encoding);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': isWhole ? '0' : '12' }));
      stream.end(Buffer.alloc(5));
    });
  });
  return { server, end: () => sessions.forEach((session) => session.destroy()) };
}

function decompressed(body: Buffer, encoding: string): Buffer {
  if (encoding === 'gzip') return gunzipSync(body);
  return encoding === 'zstd' ? zstdDecompressSync(body) : body;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- protobufjs's plain objects have no types
type Plain = any;

function decode(body: Buffer): ReceivedSpan[] {
  const request: Plain = requestType.toObject(requestType.decode(body), { longs: String, defaults: true });
  return request.resourceSpans.flatMap((group: Plain) =>
    group.scopeSpans.flatMap((scoped: Plain) =>
      scoped.spans.map((span: Plain) => ({
        resource: { attributes: attributesOf(group.resource?.attributes ?? []) },
        scope: { name: scoped.scope?.name, version: scoped.scope?.version },
        schemaUrl: scoped.schemaUrl,
        span: {
          traceId: span.traceId.toString('hex'),
          spanId: span.spanId.toString('hex'),
          parentSpanId: span.parentSpanId.toString('hex'),
          name: span.name,
          kind: span.kind,
          startTimeUnixNano: BigInt(span.startTimeUnixNano),
          endTimeUnixNano: BigInt(span.endTimeUnixNano),
          attributes: attributesOf(span.attributes),
          status: { code: span.status?.code ?? 0, message: span.status?.message ?? '' },
        },
      })),
    ),
  );
}

function attributesOf(pairs: readonly Plain[]): Record<string, unknown> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: Plain): unknown {
  if ('intValue' in value) return Number(value.intValue);
  if ('arrayValue' in value) return value.arrayValue.values.map(valueOf);
  return value.stringValue ?? value.boolValue ?? value.doubleValue;
}
