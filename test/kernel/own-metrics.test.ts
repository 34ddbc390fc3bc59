// A collector's own metrics while it traces: by OTLP and as Prometheus text, every counter of its summary in both, and its
// health while the backend is down.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { grpcBackend } from '../helpers/metrics-backend.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;

/** Counters that the semantic conventions have a name for. */
const CONVENTIONS: Readonly<Record<string, string>> = {
  spans_accepted: 'otel.sdk.exporter.span.exported',
  in_flight: 'otel.sdk.exporter.span.inflight',
};
/** Amounts with a name that isn't the summary's. */
const AMOUNTS: Readonly<Record<string, string>> = {
  live_traces: 'fdspan.traces.live',
  ring_unread: 'fdspan.ring.unread',
};

function addressOf({ logs }: Collector): string {
  const line = logs.find(({ msg }) => msg === 'metrics and health are served');
  assert.ok(line !== undefined, 'the log tells the port');
  return `http://${line.address as string}`;
}

test(
  'every counter of the summary is in the metrics by OTLP and in those for Prometheus',
  { skip },
  async (t) => {
    const backend = await grpcBackend();
    t.after(() => backend.close());
    const collector = await startCollector({
      endpoint: backend.endpoint,
      containerIds: [],
      set: { 'telemetry.metrics.otlp': 'true', 'telemetry.metrics.prometheus': '127.0.0.1:0' },
    });
    t.after(() => collector.kill());
    const at = addressOf(collector);
    let response = await fetch(`${at}/metrics`);
    // The SDK is loaded after `ready`.
    while (response.status === 503) response = await fetch(`${at}/metrics`);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    const { counters } = await collector.stop();
    const points = backend.metrics.flatMap((received) => received.points);
    const names = new Set(points.map(({ name }) => name));
    const reasons = new Set(points.map(({ attributes }) => attributes['fdspan.reason']));
    const series = new Set(text.match(/^\w+/gm));
    const told = new Set([...text.matchAll(/fdspan_reason="(\w+)"/g)].map(([, reason]) => reason));
    for (const counter of Object.keys(counters)) {
      const name = CONVENTIONS[counter] ?? AMOUNTS[counter] ?? `fdspan.${counter}`;
      assert.ok(names.has(name) || reasons.has(counter), `${counter} by OTLP`);
      const inText = name.replaceAll('.', '_');
      const isThere = series.has(inText) || series.has(`${inText}_total`) || told.has(counter);
      assert.ok(isThere, `${counter} for Prometheus`);
    }
    assert.doesNotMatch(text, /of the summary/, 'each is described in the list');
    for (const name of [
      'process.memory.usage',
      'fdspan.ring.fill',
      'fdspan.queue.size',
      'fdspan.probe.attached',
    ])
      assert.ok(names.has(name) && series.has(name.replaceAll('.', '_')), name);
  },
);

test(
  'headers of the environment that the configuration replaces are sent with no metrics',
  { skip },
  async (t) => {
    const sent = new Map<string, IncomingHttpHeaders>();
    const backend = createServer((request, response) => {
      sent.set(request.url ?? '', request.headers);
      request.resume().on('end', () => response.end());
    });
    await once(backend.listen(0, '127.0.0.1'), 'listening');
    t.after(() => backend.close());
    const collector = await startCollector({
      endpoint: `http://127.0.0.1:${(backend.address() as AddressInfo).port}`,
      protocol: 'http/protobuf',
      containerIds: [],
      environment: {
        OTEL_EXPORTER_OTLP_HEADERS: 'authorization=base,x-base=1',
        OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-traces=1',
        OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'x-metrics=1',
      },
      set: { 'telemetry.metrics.otlp': 'true', 'export.headers': '{x-own: 1}' },
    });
    t.after(() => collector.kill());
    await collector.stop();
    const headers = sent.get('/v1/metrics') ?? {};
    const names = Object.keys(headers).filter((name) => name.startsWith('x-') || name === 'authorization');
    assert.deepEqual(names.sort(), ['x-metrics', 'x-own']);
  },
);

test('a backend that is down makes fdspan neither unready nor unhealthy', { skip }, async (t) => {
  const collector = await startCollector({
    endpoint: 'http://127.0.0.1:1',
    containerIds: [],
    set: { 'telemetry.metrics.prometheus': '127.0.0.1:0', 'limits.stop_deadline': '0ms' },
  });
  t.after(() => collector.kill());
  const at = addressOf(collector);
  for (const path of ['healthz', 'readyz']) {
    const response = await fetch(`${at}/${path}`);
    assert.deepEqual([response.status, await response.text()], [200, 'ok\n'], path);
  }
  await collector.stop();
});

test('a port that is taken costs the metrics, not the spans', { skip }, async (t) => {
  const first = await startCollector({
    endpoint: 'http://127.0.0.1:1',
    containerIds: [],
    set: { 'telemetry.metrics.prometheus': '127.0.0.1:0', 'limits.stop_deadline': '0ms' },
  });
  t.after(() => first.kill());
  const taken = new URL(addressOf(first)).host;
  const second = await startCollector({
    endpoint: 'http://127.0.0.1:1',
    containerIds: [],
    set: { 'telemetry.metrics.prometheus': taken, 'limits.stop_deadline': '0ms' },
  });
  t.after(() => second.kill());
  const { logs } = await second.stop();
  const warning = logs.find(({ msg }) => msg === 'no metrics and no health over HTTP');
  assert.match(String(warning?.error), /EADDRINUSE/);
  await first.stop();
});

test('the last metrics by OTLP are those of the summary, with what the stop dropped', { skip }, async (t) => {
  const backend = await grpcBackend();
  t.after(() => backend.close());
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: 13,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  const collector = await startCollector({
    endpoint: 'http://127.0.0.1:1',
    containerIds: [group.id],
    set: {
      'telemetry.metrics.otlp': 'true',
      'telemetry.metrics.prometheus': '127.0.0.1:0',
      'limits.stop_deadline': '200ms',
    },
    environment: { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: backend.endpoint },
  });
  t.after(() => collector.kill());
  workload.go();
  await workload.finished();
  const { counters } = await collector.stop();
  assert.ok(counters.shutdown > 0, 'the backend of the spans is down');
  const { points } = backend.metrics.at(-1)!;
  const told = (counter: string): number | undefined =>
    points.find(
      ({ name, attributes }) => name === `fdspan.${counter}` || attributes['fdspan.reason'] === counter,
    )?.value;
  for (const [counter, value] of Object.entries(counters))
    if (!(counter in CONVENTIONS) && !(counter in AMOUNTS)) assert.equal(told(counter), value, counter);
  // A 0 would be an alarm, and nothing is wrong.
  assert.equal(told('probe.attached'), undefined);
});
