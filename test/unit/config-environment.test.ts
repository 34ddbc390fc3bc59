// Variables and --set.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STAGE_CHECKS } from '../../src/cli/stage-checks.ts';
import { parseEndpoint } from '../../src/export/endpoint.ts';
import { load, problemsOf } from '../helpers/config.ts';

/** The URL that requests go to. */
function target(text: string, env: NodeJS.ProcessEnv, sets: string[] = []): string {
  const { endpoint, protocol, isEndpointExact } = load(text, { env, sets, checks: STAGE_CHECKS }).config
    .export;
  return parseEndpoint(endpoint, protocol, isEndpointExact).url.href;
}

const HTTP = 'http/protobuf';

test('the base endpoint gets the path of traces for http/protobuf, whatever source says the protocol', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://h:4318/base/' };
  const expected = 'http://h:4318/base/v1/traces';
  assert.equal(target('', { ...env, OTEL_EXPORTER_OTLP_PROTOCOL: HTTP }), expected);
  assert.equal(target('', { ...env, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: HTTP }), expected);
  assert.equal(target('', { ...env, FDSPAN_EXPORT_PROTOCOL: HTTP }), expected);
  assert.equal(target(`export: {protocol: ${HTTP}}\n`, env), expected);
  assert.equal(target('', env, [`export.protocol=${HTTP}`]), expected);
  const weaker = { ...env, OTEL_EXPORTER_OTLP_PROTOCOL: HTTP, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://h:4317' };
  assert.equal(target('', weaker, ['export.protocol=grpc']), 'http://h:4317/', 'not for grpc');
});

test('the endpoint of traces alone is used as it is', () => {
  const env = { OTEL_EXPORTER_OTLP_PROTOCOL: HTTP, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://base:4318' };
  const exact = (endpoint: string): string =>
    target('', { ...env, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint });
  assert.equal(exact('http://h:4318'), 'http://h:4318/');
  assert.equal(exact('http://h:4318/otlp'), 'http://h:4318/otlp');
  assert.equal(
    target('', env, ['export.endpoint=http://h:4318']),
    'http://h:4318/v1/traces',
    'of fdspan itself',
  );
});

test('the default endpoint has the port that the protocol has by convention', () => {
  assert.equal(target('', {}), 'http://127.0.0.1:4317/');
  assert.equal(target('', {}, [`export.protocol=${HTTP}`]), 'http://127.0.0.1:4318/v1/traces');
  assert.equal(
    target('export.endpoint: "http://127.0.0.1:4317"\n', {}, [`export.protocol=${HTTP}`]),
    'http://127.0.0.1:4317/v1/traces',
    'what is set stays',
  );
});

test('INSECURE decides for grpc endpoints without a scheme, and that of traces is the stronger', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'h:4317' };
  assert.equal(target('', env), 'https://h:4317/');
  assert.equal(target('', { ...env, OTEL_EXPORTER_OTLP_INSECURE: 'true' }), 'http://h:4317/');
  assert.equal(target('', { ...env, OTEL_EXPORTER_OTLP_TRACES_INSECURE: 'TRUE' }), 'http://h:4317/');
  const both = { OTEL_EXPORTER_OTLP_INSECURE: 'true', OTEL_EXPORTER_OTLP_TRACES_INSECURE: 'false' };
  assert.equal(target('', { ...env, ...both }), 'https://h:4317/');
  const secure = { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://h:4317', OTEL_EXPORTER_OTLP_INSECURE: 'true' };
  assert.equal(target('', secure), 'https://h:4317/', 'a scheme decides over it');
  assert.equal(
    target('', { ...env, OTEL_EXPORTER_OTLP_INSECURE: 'true' }, [`export.protocol=${HTTP}`]),
    'https://h:4317/v1/traces',
  );
  assert.deepEqual(problemsOf('', { env: { OTEL_EXPORTER_OTLP_INSECURE: 'yes' } }), [
    'OTEL_EXPORTER_OTLP_INSECURE: "yes" must be true or false',
  ]);
});

test('http/json is refused with the protocols that there are', () => {
  const [problem] = problemsOf('', { env: { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' } });
  assert.equal(
    problem,
    'OTEL_EXPORTER_OTLP_PROTOCOL: export.protocol: "http/json" must be one of grpc, http/protobuf',
  );
});

test('headers and timeout are read in the form of the specification', () => {
  const env = {
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20YQ==, x-tenant = a%2Cb ,',
    OTEL_EXPORTER_OTLP_TIMEOUT: '2500',
  };
  const { config } = load('', { env });
  assert.deepEqual(config.export.headers, { authorization: 'Basic YQ==', 'x-tenant': 'a,b' });
  assert.equal(config.export.timeoutMs, 2500);
  const wrong = problemsOf('', { env: { OTEL_EXPORTER_OTLP_HEADERS: 'hunter2' } });
  assert.match(wrong[0], /^OTEL_EXPORTER_OTLP_HEADERS: the value must be pairs/);
  assert.doesNotMatch(wrong[0], /hunter2/);
});

test('variables of OpenTelemetry that do not concern spans of files stay alone', () => {
  const env = {
    OTEL_SDK_DISABLED: 'perhaps',
    OTEL_SERVICE_NAME: 'x',
    OTEL_RESOURCE_ATTRIBUTES: '=,',
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json',
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: '',
  };
  assert.deepEqual([...new Set(load('', { env }).origins.values())], ['default']);
});

test('what Kubernetes sets for Services named fdspan does not stop the start', () => {
  // As the kubelet writes them: docs of "Service", environment variables.
  const env = {
    FDSPAN_SERVICE_HOST: '10.0.0.11',
    FDSPAN_SERVICE_PORT: '4317',
    FDSPAN_SERVICE_PORT_OTLP_GRPC: '4317',
    FDSPAN_PORT: 'tcp://10.0.0.11:4317',
    FDSPAN_PORT_4317_TCP: 'tcp://10.0.0.11:4317',
    FDSPAN_PORT_4317_TCP_PROTO: 'tcp',
    FDSPAN_PORT_4317_TCP_PORT: '4317',
    FDSPAN_PORT_4317_TCP_ADDR: '10.0.0.11',
    FDSPAN_METRICS_SERVICE_HOST: 'fd00::1',
    FDSPAN_METRICS_PORT: 'udp://[fd00::1]:9090',
    FDSPAN_METRICS_PORT_9090_UDP_ADDR: 'fd00::1',
  };
  assert.deepEqual([...new Set(load('', { env }).origins.values())], ['default']);
});

test('any other unknown variable is an error, with the one that could be meant', () => {
  const env = {
    FDSPAN_EXPORT_ENDPIONT: 'x',
    FDSPAN_EXPORT_PORT: '4317',
    FDSPAN_SERVICE_HOST: 'my host',
    FDSPAN_DEV: '1',
  };
  assert.deepEqual(problemsOf('', { env }), [
    'FDSPAN_EXPORT_ENDPIONT: no key has this variable; did you mean FDSPAN_EXPORT_ENDPOINT?',
    'FDSPAN_EXPORT_PORT: no key has this variable',
    'FDSPAN_SERVICE_HOST: no key has this variable',
  ]);
});

test('the last --set of a key wins, and the others are judged too', () => {
  assert.equal(load('', { sets: ['export.timeout=1s', 'export.timeout=2s'] }).config.export.timeoutMs, 2000);
  assert.match(
    problemsOf('', { sets: ['export.timeout=x', 'export.timeout=2s'] })[0],
    /^--set: export\.timeout: "x"/,
  );
});

test('--set takes a whole section', () => {
  const sets = ['export.tls={ca: /ca, key: /key}', 'export={queue: {requests_in_flight: 2}, timeout: 3s}'];
  const { config, origins } = load('export: {timeout: 9s, protocol: http/protobuf}\n', { sets });
  assert.deepEqual(config.export.tls, { ca: '/ca', cert: null, key: '/key' });
  assert.equal(config.export.timeoutMs, 3000);
  assert.equal(config.export.queue.requestsInFlight, 2);
  assert.equal(config.export.protocol, HTTP, 'what the section does not name stays');
  assert.equal(origins.get('export.tls.ca'), '--set');
  assert.deepEqual(problemsOf('', { sets: ['export.tls=/ca', 'export={tls: {sa: x}}', 'export={a'] }), [
    '--set: export.tls: must hold keys and values, such as export.tls.ca',
    '--set: unknown key export.tls.sa; did you mean export.tls.ca?',
    '--set: export: Flow map must end with a }',
  ]);
});

test('--set needs a key, an equals sign and a value', () => {
  assert.deepEqual(problemsOf('', { sets: ['attach', '=auto', 'attach=', 'atach=auto', 'a b\n=1'] }), [
    '--set: "attach" must be KEY=VALUE',
    '--set: "=auto" must be KEY=VALUE',
    '--set: attach= has no value; where a key may have none, write attach=null',
    '--set: unknown key atach; did you mean attach?',
    '--set: unknown key "a b\\n"',
  ]);
  assert.equal(load('export.tls.ca: /ca\n', { sets: ['export.tls.ca=null'] }).config.export.tls.ca, null);
});

test('an unknown key is told with the one that could be meant', () => {
  for (const [key, meant] of [
    ['exprot.endpoint', 'export.endpoint'],
    ['endpoint', 'export.endpoint'],
    ['export.bytes_max', 'export.queue.bytes_max'],
    ['limits.rings', 'limits.ring'],
    ['resource.cluster', 'resource'],
    ['exporter', 'export.protocol'],
  ]) {
    assert.match(
      problemsOf(`${key}: 1\n`)[0],
      new RegExp(`did you mean ${meant.replaceAll('.', '\\.')}\\?$`),
      key,
    );
  }
  assert.match(problemsOf('zzz: 1\n')[0], /^f\.yaml:1: unknown key zzz$/);
});
