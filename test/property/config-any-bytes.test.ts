// Any bytes as the file, any text in a variable or after --set: a configuration or a ConfigError, in bounded time.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { STAGE_CHECKS } from '../../src/cli/stage-checks.ts';
import { FILE_BYTES_MAX } from '../../src/config/file-settings.ts';
import { loadConfig, type ConfigSources } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/problems.ts';
import { KEYS } from '../../src/config/schema.ts';
import { largeConfigs } from '../helpers/large-configs.ts';
import { yamlish } from '../helpers/yamlish.ts';

const folder = mkdtempSync(join(tmpdir(), 'fdspan-any-bytes-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'any.yaml');

/** CPU time, since the cores may be shared. Reason: the worst text found of the largest file takes two seconds. */
const LOAD_MAX_US = 20_000_000;

function assertJudged(sources: ConfigSources): void {
  const began = process.cpuUsage();
  try {
    const { config, origins } = loadConfig(sources, STAGE_CHECKS);
    assert.equal(origins.size, Object.keys(KEYS).length);
    assert.equal(typeof config.export.endpoint, 'string');
  } catch (error) {
    assert.ok(error instanceof ConfigError, (error as Error).stack);
    assert.ok(error.problems.length > 0);
    assert.ok(error.message.length < 100 * 2000, 'the message is bounded');
  }
  assert.ok(process.cpuUsage(began).user < LOAD_MAX_US);
}

test('any bytes as the file give a configuration or a ConfigError', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    yamlish.map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(bytes, (content) => {
      writeFileSync(file, content);
      assertJudged({ file, sets: [], env: {} });
    }),
    { numRuns: 300 },
  );
});

test('any value of any key gives a configuration or a ConfigError, in every source', () => {
  const key = fc.constantFrom(...Object.keys(KEYS));
  const value = fc.oneof(yamlish, fc.string({ unit: 'binary' }), fc.json());
  fc.assert(
    fc.property(key, value, (name, text) => {
      writeFileSync(file, `${name}: ${text}\n`);
      const env = {
        [`FDSPAN_${name.toUpperCase().replaceAll('.', '_')}`]: text,
        OTEL_EXPORTER_OTLP_HEADERS: text,
      };
      assertJudged({ file, sets: [], env: {} });
      assertJudged({ sets: [`${name}=${text}`, text], env });
    }),
    { numRuns: 150 },
  );
});

// `npm run test:fuzz` does it with files as large as they may be.
test('a large file of one piece again and again ends in time', () => {
  for (const content of largeConfigs(FILE_BYTES_MAX / 32, 10)) {
    writeFileSync(file, content);
    assertJudged({ file, sets: [], env: {} });
  }
});
