// The examples that users copy, in files and in the document.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { START_CHECKS, STAGE_CHECKS } from '../../src/cli/stage-checks.ts';
import { isSection } from '../../src/config/file-settings.ts';
import { loadConfig } from '../../src/config/load.ts';
import { KEYS } from '../../src/config/schema.ts';
import { compileRules } from '../../src/containers/rules.ts';
import { load } from '../helpers/config.ts';

const root = join(import.meta.dirname, '../..');
const documents = ['docs/configuration.md', 'deploy/man/fdspan.8', 'README.md'].map((path) => ({
  path,
  text: readFileSync(join(root, path), 'utf8'),
}));
const examples = [...documents[0].text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => text);

/** The keys that the text sets itself. */
function setKeys(origins: ReadonlyMap<string, string>): number {
  return [...origins.values()].filter((origin) => origin !== 'default').length;
}

test('each example of the document is a right configuration', () => {
  assert.equal(examples.length, 6);
  for (const text of examples) {
    const { origins } = load(text, { checks: STAGE_CHECKS });
    assert.ok(setKeys(origins) >= 2, text);
  }
  const { config } = load(examples[5]);
  assert.deepEqual(config.resource, { 'deployment.environment.name': 'edge', 'service.version': '1.10' });
});

test('the file that is installed is right, and denies well-known backends', () => {
  const { config } = loadConfig({ file: join(root, 'config/fdspan.yaml'), sets: [], env: {} }, START_CHECKS);
  const rules = compileRules(config.containers.allow, config.containers.deny);
  const judged = (image: string): boolean => rules.judge({ image: [image] }).isAllowed;
  for (const image of [
    'docker.io/jaegertracing/jaeger:2.5.0',
    'grafana/tempo:2.8.1',
    'docker.io/grafana/tempo',
    'otel/opentelemetry-collector-contrib:0.130.0',
    'ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector',
  ])
    assert.equal(judged(image), false, image);
  for (const image of ['docker.io/library/nginx:1.27', 'grafana/grafana:12'])
    assert.equal(judged(image), true, image);
});

test('each file of config/examples is a right configuration', () => {
  const names = readdirSync(join(root, 'config/examples'));
  assert.ok(names.length >= 3);
  for (const name of names) {
    const file = join(root, 'config/examples', name);
    assert.ok(setKeys(loadConfig({ file, sets: [], env: {} }, STAGE_CHECKS).origins) >= 1, name);
  }
});

test('the documents name no key and no variable that does not exist', () => {
  const variables = Object.keys(KEYS).map((key) => `FDSPAN_${key.toUpperCase().replaceAll('.', '_')}`);
  const ofOthers = /^FDSPAN_(DEV$|SERVICE_HOST$|PORT_)/;
  for (const { path, text } of documents) {
    const sections = [...new Set(Object.keys(KEYS).map((key) => key.split('.')[0]))].join('|');
    const named = [
      ...text.matchAll(new RegExp(`(?<![-/\\w])((?:${sections})(?:\\.[a-z_]+)+)\\b(?!/)`, 'g')),
    ].map(([key]) => key);
    for (const key of named) assert.ok(Object.hasOwn(KEYS, key) || isSection(key), `${path}: ${key}`);
    for (const [name] of text.matchAll(/\bFDSPAN_[A-Z0-9_]+/g)) {
      assert.ok(name.endsWith('_') || variables.includes(name) || ofOthers.test(name), `${path}: ${name}`);
    }
  }
});

test('every --set of the documents is taken', () => {
  for (const { path, text } of documents) {
    for (const [, quoted, plain] of text
      .replaceAll('\\-', '-')
      .matchAll(/--set (?:'([^']+)'|([a-z][a-z._]*=[^\s`]+))/g)) {
      assert.doesNotThrow(
        () => load('', { sets: [quoted ?? plain], checks: STAGE_CHECKS }),
        `${path}: ${quoted ?? plain}`,
      );
    }
  }
});
