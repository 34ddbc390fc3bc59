// Labels and names as containers' creators may write them, and which of several places counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameOf } from '../../src/containers/runtimes/fields.ts';
import { mergeLabels } from '../../src/containers/runtimes/labels.ts';
import {
  boundLabels,
  droppedLabels,
  LABEL_BYTES_MAX,
  NAME_BYTES_MAX,
} from '../../src/containers/runtimes/runtime-source.ts';

/** What UTF-8 makes of the text: an exporter sends bytes, and a receiver reads them back. */
const sent = (text: string): string => Buffer.from(text).toString('utf8');

test('halves of surrogate pairs, which JSON can spell, become what UTF-8 can carry', () => {
  const labels: unknown = JSON.parse('{"a\\ud800":"b\\udfff","whole":"\\ud83d\\ude00"}');
  const bound = boundLabels(labels);
  assert.deepEqual(
    [...bound],
    [
      ['a\ufffd', 'b\ufffd'],
      ['whole', '\u{1f600}'],
    ],
  );
  for (const [key, value] of bound) assert.deepEqual([sent(key), sent(value)], [key, value]);
  assert.equal(nameOf(JSON.parse('"web\\ud800"')), 'web\ufffd');
});

test('names and labels are bounded by the bytes that are sent', () => {
  assert.equal(nameOf('n'.repeat(NAME_BYTES_MAX))?.length, NAME_BYTES_MAX);
  for (const long of ['n'.repeat(NAME_BYTES_MAX + 1), '\ud800'.repeat(NAME_BYTES_MAX / 2)]) {
    assert.equal(nameOf(long), undefined);
  }
  const halves = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, '\ud800'.repeat(20)]));
  const bytes = [...boundLabels(halves)].reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  );
  assert.ok(bytes <= LABEL_BYTES_MAX && bytes > LABEL_BYTES_MAX - 100, `${bytes} bytes`);
});

test("a container's own label beats its pod's, and both beat annotations, of which only services' names count", () => {
  const merged = mergeLabels(
    [{ app: 'own', 'resource.opentelemetry.io/a': 'own' }, null, { app: 'pod', tier: 'pod' }],
    {
      app: 'annotation',
      other: 'annotation',
      'resource.opentelemetry.io/a': 'annotation',
      'resource.opentelemetry.io/service.name': 'shop',
      'resource.opentelemetry.io/number': 7,
    },
  );
  assert.deepEqual(Object.fromEntries(merged), {
    app: 'own',
    'resource.opentelemetry.io/a': 'own',
    tier: 'pod',
    'resource.opentelemetry.io/service.name': 'shop',
  });
  for (const odd of [undefined, null, 7, 'text', ['resource.opentelemetry.io/x']]) {
    assert.deepEqual([...mergeLabels([odd], odd)], []);
  }
});

const big = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`key-${i}`, 'v'.repeat(1000)]));

test('labels that find no room are known by their keys, as far as these are few, and counted beyond', () => {
  const bound = boundLabels(big(20));
  assert.equal(bound.size, 16);
  assert.deepEqual(droppedLabels(bound), { keys: ['key-16', 'key-17', 'key-18', 'key-19'], more: 0 });
  const many = droppedLabels(boundLabels(big(10_000)));
  const keyBytes = many.keys.reduce((sum, key) => sum + Buffer.byteLength(key), 0);
  assert.ok(keyBytes <= 4096, `${keyBytes} bytes of keys`);
  assert.equal(many.keys.length + many.more, 10_000 - 16);
  assert.deepEqual(droppedLabels(boundLabels(big(3))), { keys: [], more: 0 });
});

test('merged labels know what any of the places had too much of, and not what another has in its stead', () => {
  const pod = { 'key-17': 'from the pod', other: 'pod' };
  const merged = mergeLabels([big(18), pod], null);
  // The pod's come last, and fill what is left: 16 × 1,006 bytes are taken.
  assert.equal(merged.get('key-17'), 'from the pod');
  assert.deepEqual(droppedLabels(merged), { keys: ['key-16'], more: 0 });
  assert.deepEqual(droppedLabels(mergeLabels([big(17), big(17)], null)).keys, ['key-16']);
});
