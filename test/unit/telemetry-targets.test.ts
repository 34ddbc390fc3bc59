// Where fdspan's own telemetry goes for each way to write an endpoint. Expected values are those of the OTLP exporter
// specification ("Endpoint URLs for OTLP/HTTP") and of docs/configuration.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { START_CHECKS } from '../../src/cli/stage-checks.ts';
import { problemsOf } from '../helpers/config.ts';
import { targetsOf } from '../helpers/telemetry-targets.ts';

const HTTP = 'http/protobuf';

for (const [endpoint, traces, metrics] of [
  ['http://c:4318', 'http://c:4318/v1/traces', 'http://c:4318/v1/metrics'],
  ['10.0.0.1:4318', 'https://10.0.0.1:4318/v1/traces', 'https://10.0.0.1:4318/v1/metrics'],
  ['HTTPS://C:4318/', 'https://c:4318/v1/traces', 'https://c:4318/v1/metrics'],
  ['http://c/v1/traces?key=a', 'http://c/v1/traces?key=a', 'http://c/v1/metrics?key=a'],
  ['http://c/otlp/v1/traces/', 'http://c/otlp/v1/traces/', 'http://c/otlp/v1/metrics'],
  ['http://c/otlp', 'http://c/otlp', 'http://c/otlp/v1/metrics'],
] as const)
  test(`http/protobuf: the metrics of ${endpoint} go to ${metrics}`, () => {
    const targets = targetsOf({ 'export.protocol': HTTP, 'export.endpoint': endpoint });
    assert.equal(targets.traces.url.href, traces);
    assert.equal(targets.metrics.url.href, metrics);
  });

test('grpc: without a scheme both are TLS, unless the variable says otherwise', () => {
  const set = { 'export.endpoint': 'c:4317' };
  for (const target of Object.values(targetsOf(set))) assert.equal(target.url.origin, 'https://c:4317');
  const insecure = targetsOf(set, { OTEL_EXPORTER_OTLP_INSECURE: 'true' });
  for (const target of Object.values(insecure)) assert.equal(target.url.origin, 'http://c:4317');
});

test('the variables of metrics replace the protocol, the endpoint and the timeout, and add headers', async () => {
  const { traces, metrics } = targetsOf(
    { 'export.endpoint': 'https://c:4317', 'export.headers': '{X-A: 1, x-b: 2}' },
    {
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: HTTP,
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'https://m:4318/in?x=1',
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '250',
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'X-B=three%20',
    },
  );
  assert.deepEqual(
    [metrics.protocol, metrics.url.href, metrics.timeoutMs],
    [HTTP, 'https://m:4318/in?x=1', 250],
  );
  assert.deepEqual(await metrics.headers(), { 'x-a': '1', 'x-b': 'three ' });
  assert.deepEqual(
    [traces.protocol, traces.url.origin, traces.timeoutMs],
    ['grpc', 'https://c:4317', 10_000],
  );
  assert.deepEqual(await traces.headers(), { 'x-a': '1', 'x-b': '2' });
});

for (const [spans, metrics, isSent] of [
  ['https://c:4317', 'http://m:4318', false],
  ['https://c:4317', 'http://c:4318', false],
  ['http://c:4317', 'http://m:4318', false],
  ['http://c:4317', 'http://c:4318', true],
  ['https://c:4317', 'http://127.0.0.1:4318', true],
] as const)
  test(`headers of spans to ${spans} go ${isSent ? '' : 'not '}with metrics to ${metrics}`, async () => {
    const set = { 'export.endpoint': spans, 'export.headers': '{token: secret}' };
    const env = {
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: metrics,
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'own=1',
    };
    const headers = await targetsOf(set, env).metrics.headers();
    assert.deepEqual(headers, isSent ? { token: 'secret', own: '1' } : { own: '1' });
  });

test('an endpoint of metrics without a scheme is TLS, unless METRICS_INSECURE says otherwise', () => {
  const env = { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'm:4317' };
  assert.equal(targetsOf({}, env).metrics.url.origin, 'https://m:4317');
  const insecure = { ...env, OTEL_EXPORTER_OTLP_METRICS_INSECURE: 'true' };
  assert.equal(targetsOf({}, insecure).metrics.url.origin, 'http://m:4317');
  assert.equal(targetsOf({}, insecure).traces.url.origin, 'http://127.0.0.1:4317');
});

const WRONG = {
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'ftp://user:secret@m',
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json',
  OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: 'soon',
  OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'secret',
  OTEL_EXPORTER_OTLP_METRICS_INSECURE: 'perhaps',
};

test('variables of metrics that cannot be used are told, each by its name and without its secrets', () => {
  const told = problemsOf('', { env: WRONG, checks: START_CHECKS });
  assert.deepEqual(told.map((line) => line.split(': ')[0]).toSorted(), Object.keys(WRONG).toSorted());
  assert.doesNotMatch(told.join('\n'), /secret/);
});

test('variables of metrics count for nothing where no metrics are sent', () => {
  const sets = ['otlp', 'containers', 'pressure'].map((name) => `telemetry.metrics.${name}=false`);
  assert.deepEqual(problemsOf('', { env: WRONG, sets, checks: START_CHECKS }), []);
});
