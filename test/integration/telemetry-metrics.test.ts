import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import protobuf from 'protobufjs';

// The part of opentelemetry/proto/metrics/v1 that is looked at here.
const { root } = protobuf.parse(`syntax = "proto3";
message Request { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeMetrics { repeated Metric metrics = 2; }
message Metric { string name = 1; string unit = 3; Sum sum = 7; }
message Sum { repeated Point data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message Point { double as_double = 4; sfixed64 as_int = 6; repeated KeyValue attributes = 7; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { string string_value = 1; int64 int_value = 3; }`);
const metricsRequest = root.lookupType('Request');
const { decodeSpans } = await import('../helpers/otlp-messages.ts');

interface Point {
  readonly name: string;
  readonly value: number;
  readonly isMonotonic: boolean;
  readonly attributes: Record<string, string>;
}

interface Received {
  readonly points: Point[];
  readonly resource: Record<string, string>;
}

type KeyValues = { key: string; value: { stringValue?: string; intValue?: string } }[];

function byKey(attributes: KeyValues = []): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']),
  );
}

function decodeMetrics(bytes: Uint8Array): Received {
  const message = metricsRequest.toObject(metricsRequest.decode(bytes), { longs: String }) as any;
  const points: Point[] = [];
  for (const { metrics } of message.resourceMetrics[0].scopeMetrics) {
    for (const { name, sum } of metrics) {
      for (const point of sum?.dataPoints ?? []) {
        const value = Number(point.asInt ?? point.asDouble ?? 0);
        points.push({
          name,
          value,
          isMonotonic: sum.isMonotonic ?? false,
          attributes: byKey(point.attributes),
        });
      }
    }
  }
  return { points, resource: byKey(message.resourceMetrics[0].resource.attributes) };
}

/** The SDK's globals are one a process, so each start has a process of its own. */
async function runChild(endpoint: string, protocol: string, env: Record<string, string> = {}) {
  const { spawn } = await import('node:child_process');
  const module = fileURLToPath(new URL('../../src/telemetry/metrics.ts', import.meta.url));
  const script = `
    const { startMetrics } = await import(${JSON.stringify(module)});
    const errors = [];
    const metrics = await startMetrics({
      target: { protocol: '${protocol}', endpoint: '${endpoint}', headers: { 'x-key': 'k' }, timeoutMs: 1000 },
      environment: process.env, version: '1.2.3', hostAttributes: { 'host.name': 'h' },
      snapshot: () => ({ opens_in_scope: 70, spans_accepted: 50, rejected: 3, in_flight: 2, ring_full: 4, queue_bytes: 9, probe_attached: 1 }),
      start: { beganUnixMs: 1000, attachedUnixMs: 1250, attributes: { 'fdspan.attach.mode': 'tracepoint' } },
      onError: (error) => errors.push(String(error)),
    });
    const began = performance.now();
    await metrics.shutdown(1500);
    console.log(JSON.stringify({ errors, shutdownMs: performance.now() - began }));
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  for await (const chunk of child.stdout) out += String(chunk);
  return JSON.parse(out) as { errors: string[]; shutdownMs: number };
}

interface Backend {
  readonly endpoint: string;
  readonly metrics: Received[];
  readonly traces: ReturnType<typeof decodeSpans>;
  readonly keys: Set<unknown>;
  close(): void;
}

async function httpBackend(): Promise<Backend> {
  const [metrics, traces, keys]: [Received[], Backend['traces'], Set<unknown>] = [[], [], new Set()];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    keys.add(request.headers['x-key']);
    if (request.url === '/v1/metrics') metrics.push(decodeMetrics(Buffer.concat(chunks)));
    if (request.url === '/v1/traces') traces.push(...decodeSpans(Buffer.concat(chunks)));
    response.setHeader('content-type', 'application/x-protobuf').end();
  };
  const server = createServer((request, response) => void take(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, metrics, traces, keys, close: () => server.close() };
}

async function grpcBackend(): Promise<Backend> {
  const { Server, ServerCredentials } = await import('@grpc/grpc-js');
  const [metrics, traces, keys]: [Received[], Backend['traces'], Set<unknown>] = [[], [], new Set()];
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
          keys.add(call.metadata.get('x-key')[0]);
          take(call.request as Buffer);
          done(null, Buffer.alloc(0));
        },
      },
    );
  };
  serve('Metrics', (bytes) => metrics.push(decodeMetrics(bytes)));
  serve('Trace', (bytes) => traces.push(...decodeSpans(bytes)));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { endpoint: `http://127.0.0.1:${port}`, metrics, traces, keys, close: () => server.forceShutdown() };
}

for (const [protocol, start] of [
  ['grpc', grpcBackend],
  ['http/protobuf', httpBackend],
] as const) {
  test(`${protocol}: counters, drops and the two own spans arrive under fdspan's own service name`, async (context) => {
    const backend = await start();
    context.after(() => backend.close());
    const { errors } = await runChild(backend.endpoint, protocol);
    assert.deepEqual(errors, []);
    const { points, resource } = backend.metrics.at(-1)!;
    const value = (name: string, attributes: Record<string, string> = {}): number | undefined =>
      points.find(
        (point) =>
          point.name === name &&
          Object.entries(attributes).every(([key, text]) => point.attributes[key] === text),
      )?.value;
    assert.equal(resource['service.name'], 'fdspan');
    assert.equal(resource['host.name'], 'h');
    assert.equal(value('fdspan.opens_in_scope'), 70);
    assert.equal(value('fdspan.queue.size'), 9);
    assert.equal(value('fdspan.probe.attached'), 1);
    assert.equal(value('fdspan.drops', { 'fdspan.stage': 'kernel', 'fdspan.reason': 'ring_full' }), 4);
    assert.equal(value('fdspan.drops', { 'fdspan.stage': 'export', 'fdspan.reason': 'rejected' }), 3);
    const exported = points.filter(({ name }) => name === 'otel.sdk.exporter.span.exported');
    assert.deepEqual(
      exported.map((point) => [point.attributes['error.type'], point.value]),
      [
        [undefined, 50],
        ['rejected', 3],
      ],
    );
    assert.equal(value('otel.sdk.exporter.span.inflight', { 'server.address': '127.0.0.1' }), 2);
    assert.ok(exported.every(({ isMonotonic }) => isMonotonic));
    const spans = backend.traces.map(({ span }) => span);
    assert.deepEqual(
      spans.map(({ name }) => name),
      ['fdspan start', 'fdspan stop'],
    );
    assert.equal(spans[0].endTimeUnixNano - spans[0].startTimeUnixNano, 250_000_000n);
    assert.equal(spans[0].attributes['fdspan.attach.mode'], 'tracepoint');
    assert.deepEqual([...backend.keys], ['k']);
  });
}

test('the standard variables name fdspan’s own telemetry and send its metrics elsewhere', async (context) => {
  const [traces, metrics] = [await httpBackend(), await httpBackend()];
  context.after(() => [traces, metrics].forEach((backend) => backend.close()));
  await runChild(traces.endpoint, 'http/protobuf', {
    OTEL_SERVICE_NAME: 'collector-7',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${metrics.endpoint}/v1/metrics`,
  });
  assert.equal(traces.metrics.length, 0);
  assert.equal(traces.traces.length, 2);
  const { resource } = metrics.metrics.at(-1)!;
  assert.equal(resource['service.name'], 'collector-7');
  assert.equal(resource['deployment.environment.name'], 'test');
});

for (const protocol of ['grpc', 'http/protobuf']) {
  test(`${protocol}: a backend that is down or hangs delays the stop by the deadline at most, and is told once`, async (context) => {
    const hung = createTcpServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => hung.once('listening', resolve));
    context.after(() => hung.close());
    for (const port of [1, (hung.address() as AddressInfo).port]) {
      const { errors, shutdownMs } = await runChild(`http://127.0.0.1:${port}`, protocol);
      assert.ok(shutdownMs < 2500, `the stop took ${shutdownMs} ms`);
      assert.equal(errors.length, 1, errors.join('\n'));
    }
  });
}
