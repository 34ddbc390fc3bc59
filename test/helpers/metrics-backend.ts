// Receivers of OTLP metrics and spans on loopback, by gRPC and by HTTP, with an official protobuf decoder.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
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

export interface Backend {
  readonly endpoint: string;
  readonly metrics: Received[];
  readonly traces: ReturnType<typeof decodeSpans>;
  /** Values of the header `x-key`. */
  readonly keys: Set<unknown>;
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
  #requests = 0;

  takeMetrics(bytes: Uint8Array): void {
    this.metrics.push(...decodeMetrics(bytes, this.#requests++));
  }

  takeSpans(bytes: Uint8Array): void {
    this.traces.push(...decodeSpans(bytes));
  }
}

/** Starts a receiver of OTLP over HTTP. */
export async function httpBackend(): Promise<Backend> {
  const arrivals = new Arrivals();
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    arrivals.keys.add(request.headers['x-key']);
    if (request.url === '/v1/metrics') arrivals.takeMetrics(Buffer.concat(chunks));
    if (request.url === '/v1/traces') arrivals.takeSpans(Buffer.concat(chunks));
    response.setHeader('content-type', 'application/x-protobuf').end();
  };
  const server = createServer((request, response) => void take(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { metrics, traces, keys } = arrivals;
  return { endpoint: `http://127.0.0.1:${port}`, metrics, traces, keys, close: () => server.close() };
}

/** Starts a receiver of OTLP over gRPC. */
export async function grpcBackend(): Promise<Backend> {
  const { Server, ServerCredentials } = await import('@grpc/grpc-js');
  const arrivals = new Arrivals();
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
          arrivals.keys.add(call.metadata.get('x-key')[0]);
          take(call.request as Buffer);
          done(null, Buffer.alloc(0));
        },
      },
    );
  };
  serve('Metrics', (bytes) => arrivals.takeMetrics(bytes));
  serve('Trace', (bytes) => arrivals.takeSpans(bytes));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const { metrics, traces, keys } = arrivals;
  return { endpoint: `http://127.0.0.1:${port}`, metrics, traces, keys, close: () => server.forceShutdown() };
}
