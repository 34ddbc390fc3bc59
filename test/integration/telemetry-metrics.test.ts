// fdspan's own telemetry by the SDK, to real receivers of both protocols.
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { grpcBackend, httpBackend } from '../helpers/metrics-backend.ts';

/** The SDK's globals are one a process, so each start has a process of its own. */
async function runChild(endpoint: string, protocol: string, env: Record<string, string> = {}) {
  const { spawn } = await import('node:child_process');
  const module = fileURLToPath(new URL('../../src/telemetry/metrics.ts', import.meta.url));
  const targets = fileURLToPath(new URL('../helpers/telemetry-targets.ts', import.meta.url));
  const script = `
    const { startMetrics } = await import(${JSON.stringify(module)});
    const { targetsOf } = await import(${JSON.stringify(targets)});
    const set = { 'export.protocol': '${protocol}', 'export.endpoint': '${endpoint}', 'export.headers': '{x-key: k}', 'export.timeout': '1s' };
    const errors = [];
    const metrics = await startMetrics({
      targets: targetsOf(set, process.env),
      sendsOtlp: true, isScraped: false,
      environment: process.env, version: '1.2.3', hostAttributes: { 'host.name': 'h' },
      snapshot: () => ({ opens_in_scope: 70, spans_accepted: 50, rejected: 3, in_flight: 2, ring_full: 4, queue_bytes: 9, probe_attached: 1 }),
      start: { beganUnixMs: 1764000001000, attachedUnixMs: 1764000001250, attributes: { 'fdspan.attach.mode': 'tracepoint' } },
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
