import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError, loadConfig } from '../../src/config/load.ts';
import { KEYS } from '../../src/config/schema.ts';

function withFile<T>(text: string, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-config-'));
  try {
    writeFileSync(join(folder, 'fdspan.yaml'), text);
    return use(join(folder, 'fdspan.yaml'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function problemsOf(file: string, sets: string[] = [], env: NodeJS.ProcessEnv = {}): readonly string[] {
  try {
    loadConfig({ file, sets, env });
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

test('config/default.yaml holds every key with the default of the schema', () => {
  const file = new URL('../../config/default.yaml', import.meta.url).pathname;
  const { values, origins } = loadConfig({ file, sets: [], env: {} });
  for (const [key, { default: expected }] of Object.entries(KEYS)) {
    assert.deepEqual(values.get(key), expected, key);
    assert.match(origins.get(key)!, /default\.yaml:\d+$/, `${key} stands in the file`);
  }
});

test('every mistake of every source is told at once, with file and line', () => {
  const text = 'attach: sideways\nlimits:\n  ring: 3MiB\n  rings: 1\nexport:\n  timeout: soon\n';
  const problems = withFile(text, (file) => problemsOf(file, ['nonsense'], { FDSPAN_LIMITS_RINGS: '1' }));
  const found = problems.join('\n');
  for (const expected of [/yaml:1: attach/, /yaml:3: limits\.ring/, /yaml:4: unknown key limits\.rings/]) {
    assert.match(found, expected);
  }
  for (const expected of [/yaml:6: export\.timeout/, /FDSPAN_LIMITS_RINGS/, /nonsense/])
    assert.match(found, expected);
  assert.equal(problems.length, 6, found);
});

test('--set beats FDSPAN_*, which beats OTEL traces variables, then OTEL variables, file and default', () => {
  const env: NodeJS.ProcessEnv = {
    FDSPAN_EXPORT_ENDPOINT: 'http://fdspan:1',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://traces:1',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:1',
  };
  withFile('export: {endpoint: "http://file:1"}\n', (file) => {
    const endpoint = (sets: string[]): string => loadConfig({ file, sets, env }).config.export.endpoint;
    assert.equal(endpoint(['export.endpoint=http://set:1']), 'http://set:1');
    assert.equal(endpoint([]), 'http://fdspan:1');
    env.FDSPAN_EXPORT_ENDPOINT = '';
    assert.equal(endpoint([]), 'http://traces:1', 'an empty variable counts as unset');
    delete env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
    assert.equal(endpoint([]), 'http://otel:1');
    delete env.OTEL_EXPORTER_OTLP_ENDPOINT;
    assert.equal(endpoint([]), 'http://file:1');
  });
});

test('the base endpoint of OTEL_EXPORTER_OTLP_ENDPOINT gets the path of traces for http/protobuf', () => {
  const env = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://h:4318/' };
  withFile('', (file) => {
    assert.equal(loadConfig({ file, sets: [], env }).config.export.endpoint, 'http://h:4318/v1/traces');
  });
});

test('what is not built yet is refused by name, not ignored', () => {
  const problems = withFile('sampling: {ratio: 0.1}\nattach: fentry\n', (file) => problemsOf(file));
  assert.equal(problems.length, 2, problems.join('\n'));
  assert.match(problems.join('\n'), /sampling\.ratio.*isn't built yet/);
});
