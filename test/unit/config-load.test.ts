import assert from 'node:assert/strict';
import { test } from 'node:test';
import { START_CHECKS } from '../../src/cli/stage-checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/problems.ts';
import { KEYS } from '../../src/config/schema.ts';
import { load, problemsOf, withFile } from '../helpers/config.ts';

test('config/default.yaml holds every key with the default of the schema, which every stage takes', () => {
  const file = new URL('../../config/default.yaml', import.meta.url).pathname;
  const { values, origins } = loadConfig({ file, sets: [], env: {} }, START_CHECKS);
  for (const [key, { default: expected }] of Object.entries(KEYS)) {
    assert.deepEqual(values.get(key), expected, key);
    assert.match(origins.get(key)!, /default\.yaml:\d+$/, `${key} stands in the file`);
  }
});

test('every mistake of every source is told at once, the file in the order of its lines', () => {
  const text = 'attach: sideways\nlimits:\n  ring: 3MiB\n  rings: 1\nexport:\n  timeout: soon\n';
  const env = { FDSPAN_LIMITS_RINGS: '1' };
  assert.deepEqual(problemsOf(text, { sets: ['nonsense'], env }), [
    'f.yaml:1: attach: "sideways" must be one of auto, tracepoint',
    'f.yaml:3: limits.ring: "3MiB" must be a power of two, such as 8MiB',
    'f.yaml:4: unknown key limits.rings; did you mean limits.ring?',
    'f.yaml:6: export.timeout: "soon" must be a duration such as 250ms, 10s, 5m or 1h',
    'FDSPAN_LIMITS_RINGS: no key has this variable; did you mean FDSPAN_LIMITS_RING?',
    '--set: "nonsense" must be KEY=VALUE',
  ]);
});

test('--set beats FDSPAN_*, which beats OTEL traces variables, then OTEL variables, file and default', () => {
  const env: NodeJS.ProcessEnv = {
    FDSPAN_EXPORT_ENDPOINT: 'http://fdspan:1',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://traces:1',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:1',
  };
  const endpoint = (sets: string[]): string =>
    load('export: {endpoint: "http://file:1"}\n', { sets, env }).config.export.endpoint;
  assert.equal(endpoint(['export.endpoint=http://set:1']), 'http://set:1');
  assert.equal(endpoint([]), 'http://fdspan:1');
  env.FDSPAN_EXPORT_ENDPOINT = '';
  assert.equal(endpoint([]), 'http://traces:1', 'an empty variable counts as unset');
  delete env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  assert.equal(endpoint([]), 'http://otel:1');
  delete env.OTEL_EXPORTER_OTLP_ENDPOINT;
  assert.equal(endpoint([]), 'http://file:1');
});

test('a wrong value is told although a stronger source overrides it', () => {
  const env = { FDSPAN_ATTACH: 'upwards', OTEL_EXPORTER_OTLP_TIMEOUT: 'never' };
  assert.deepEqual(problemsOf('attach: sideways\n', { env, sets: ['attach=auto', 'export.timeout=5s'] }), [
    'f.yaml:1: attach: "sideways" must be one of auto, tracepoint',
    'OTEL_EXPORTER_OTLP_TIMEOUT: the value must be a number of milliseconds, such as 10000',
    'FDSPAN_ATTACH: attach: "upwards" must be one of auto, tracepoint',
  ]);
});

test('what is not built yet is refused by name, with the value that is taken', () => {
  assert.deepEqual(problemsOf('attach: fentry\n'), [
    'f.yaml:1: attach: "fentry" isn\'t built yet: take auto or tracepoint',
  ]);
  const neutral = 'sampling: {ratio: 1.0, keep: [failed, held]}\nexport: {spool: {dir: null}}\n';
  const env = { FDSPAN_SAMPLING_RATIO: '1.0', FDSPAN_SAMPLING_KEEP: '[failed, held]' };
  assert.deepEqual(problemsOf(neutral, { env }), []);
});

test('each key without a file has its default, said to be one', () => {
  const { origins } = load('');
  assert.deepEqual([...new Set(origins.values())], ['default']);
});

test('a thousand mistakes become a hundred lines and the number of the others', () => {
  const text = Array.from({ length: 1000 }, (_value, index) => `k${index}: 1`).join('\n');
  withFile(text, (file) =>
    assert.throws(
      () => loadConfig({ file, sets: [], env: {} }),
      (error) => error instanceof ConfigError && error.message.endsWith('\n  and 900 more'),
    ),
  );
});
