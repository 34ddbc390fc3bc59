// Receivers of OTLP metrics and spans on loopback, by gRPC and by HTTP, with an official protobuf decoder.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import protobuf from 'protobufjs';
import { decodeSpans } from './otlp-messages.ts';

// The part of opentelemetry/proto/metrics/v1 that is looked at here.
const { root } = protobuf.parse(`syntax = "proto3";
message Request { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message Scope { string name = 1; string version = 2; }
message Metric { string name = 1; string unit = 3; Gauge gauge = 5; Sum sum = 7;
  Histogram histogram = 9; }
message Gauge { repeated Point data_points = 1; }
message Sum { repeated Point data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message Point { fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; double as_double = 4; sfixed64 as_int = 6; repeated KeyValue attributes = 7; }
message Histogram { repeated HistogramPoint data_points = 1; int32 aggregation_temporality = 2; }
message HistogramPoint { fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; double sum = 5;
  repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7; repeated KeyValue attributes = 9; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { string string_value = 1; int64 int_value = 3; }`);
const metricsRequest = root.lookupType('Request');

/** AGGREGATION_TEMPORALITY_CUMULATIVE. */
export const CUMULATIVE = 2;

export interface Point {
  readonly name: string;
  readonly unit: string;
  readonly kind: 'sum' | 'gauge' | 'histogram';
  /** Of a histogram: its sum. */
  readonly value: number;
  /** Of a histogram; empty for the others. */
  readonly bounds: readonly number[];
  readonly bucketCounts: readonly number[];
  readonly startUnixNs: bigint;
  readonly timeUnixNs: bigint;
  readonly isMonotonic: boolean;
  /** Of a sum; 0 for a gauge. */
  readonly temporality: number;
  readonly attributes: Record<string, string>;
}

/** The metrics of one resource in one request. */
export interface Received {
  /** From 0 on, by arrival. */
  readonly request: number;
  readonly points: Point[];
  readonly resource: Record<string, string>;
  /** Of the first instrumentation scope. */
  readonly scope: { readonly name: string; readonly version: string };
}

export interface BackendOptions {
  /** PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Takes no request without this header. */
  readonly authorization?: () => string;
}

export interface Backend {
  readonly endpoint: string;
  readonly metrics: Received[];
  readonly traces: ReturnType<typeof decodeSpans>;
  /** Values of the header `x-key`. */
  readonly keys: Set<unknown>;
  /** Values of the header `authorization` of the requests that were taken, in the order they came. */
  readonly authorizations: unknown[];
  close(): void;
}

type KeyValues = { key: string; value: { stringValue?: string; intValue?: string } }[];

function byKey(attributes: KeyValues = []): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']),
  );
}

function pointsOf({ name, unit = '', gauge, sum, histogram }: any): Point[] {
  const {
    dataPoints = [],
    isMonotonic = false,
    aggregationTemporality: temporality = 0,
  } = sum ?? gauge ?? histogram ?? {};
  return dataPoints.map((point: any) => ({
    name,
    unit,
    kind: sum !== undefined ? 'sum' : histogram !== undefined ? 'histogram' : 'gauge',
    value: Number(point.asInt ?? point.asDouble ?? point.sum ?? 0),
    bounds: point.explicitBounds ?? [],
    bucketCounts: (point.bucketCounts ?? []).map(Number),
    startUnixNs: BigInt(point.startTimeUnixNano ?? 0),
    timeUnixNs: BigInt(point.timeUnixNano ?? 0),
    isMonotonic,
    temporality,
    attributes: byKey(point.attributes),
  }));
}

/** Decodes a request; one element for each resource in it. */
function decodeMetrics(bytes: Uint8Array, request: number): Received[] {
  const message = metricsRequest.toObject(metricsRequest.decode(bytes), { longs: String }) as any;
  return message.resourceMetrics.map(({ resource, scopeMetrics }: any) => ({
    request,
    points: scopeMetrics.flatMap(({ metrics = [] }: any) => metrics.flatMap(pointsOf)),
    resource: byKey(resource.attributes),
    scope: scopeMetrics[0].scope,
  }));
}

class Arrivals {
  readonly metrics: Received[] = [];
  readonly traces: Backend['traces'] = [];
  readonly keys = new Set<unknown>();
  readonly authorizations: unknown[] = [];
  readonly #options: BackendOptions;
  #requests = 0;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** Notes a request's headers; false: it isn't taken. */
  isTaken(key: unknown, authorization: unknown): boolean {
    const asked = this.#options.authorization?.();
    if (asked !== undefined && asked !== authorization) return false;
    this.keys.add(key);
    this.authorizations.push(authorization);
    return true;
  }

  takeMetrics(bytes: Uint8Array): void {
    this.metrics.push(...decodeMetrics(bytes, this.#requests++));
  }

  takeSpans(bytes: Uint8Array): void {
    this.traces.push(...decodeSpans(bytes));
  }
}

/** Starts a receiver of OTLP over HTTP. */
export async function httpBackend(options: BackendOptions = {}): Promise<Backend> {
  const arrivals = new Arrivals(options);
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (!arrivals.isTaken(request.headers['x-key'], request.headers.authorization)) {
      response.writeHead(401).end();
      return;
    }
    if (request.url === '/v1/metrics') arrivals.takeMetrics(Buffer.concat(chunks));
    if (request.url === '/v1/traces') arrivals.takeSpans(Buffer.concat(chunks));
    response.setHeader('content-type', 'application/x-protobuf').end();
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => void take(request, response);
  const { tls } = options;
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { ...arrivals, endpoint: endpointOf(options, port), close };
}

/** Starts a receiver of OTLP over gRPC. */
export async function grpcBackend(options: BackendOptions = {}): Promise<Backend> {
  const { Server, ServerCredentials, status } = await import('@grpc/grpc-js');
  const arrivals = new Arrivals(options);
  const server = new Server();
  const serve = (signal: string, take: (bytes: Buffer) => void): void => {
    const service = `opentelemetry.proto.collector.${signal.toLowerCase()}.v1.${signal}Service`;
    const definition = {
      path: `/${service}/Export`,
      requestStream: false,
      responseStream: false,
      requestDeserialize: (bytes: Buffer) => bytes,
      requestSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Buffer) => bytes,
    };
    server.addService(
      { Export: definition },
      {
        Export: (call: any, done: any) => {
          const [[key], [authorization]] = [call.metadata.get('x-key'), call.metadata.get('authorization')];
          if (!arrivals.isTaken(key, authorization)) {
            done({ code: status.UNAUTHENTICATED, details: 'who are you?' });
            return;
          }
          take(call.request as Buffer);
          done(null, Buffer.alloc(0));
        },
      },
    );
  };
  serve('Metrics', (bytes) => arrivals.takeMetrics(bytes));
  serve('Trace', (bytes) => arrivals.takeSpans(bytes));
  const { tls } = options;
  const pair = tls && [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }];
  const credentials = pair ? ServerCredentials.createSsl(null, pair) : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { ...arrivals, endpoint: endpointOf(options, port), close: () => server.forceShutdown() };
}

function endpointOf({ tls }: BackendOptions, port: number): string {
  return `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
}
