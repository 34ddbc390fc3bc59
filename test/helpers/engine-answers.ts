// Whatever JSON an engine may answer about a container, and what must hold of what is read from it.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { EngineDialect } from '../../src/containers/runtimes/engine/engine-dialect.ts';
import { LABEL_BYTES_MAX, NAME_BYTES_MAX } from '../../src/containers/runtimes/runtime-source.ts';

const anything = fc.jsonValue({ maxDepth: 3 });
/** Texts that are looked at more closely than others, and lone surrogates. */
export const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '/',
    '',
    'reg:5000/a:b@c',
    'io.containerd.runc.v2',
    '/usr/bin/crun',
    'OTEL_SERVICE_NAME=x',
    '\ud800',
  ),
  fc.integer({ min: 1000, max: 1100 }).map((length) => 'ö'.repeat(length)),
);
export const value = fc.oneof(anything, text);
export const labels = fc.oneof(
  value,
  fc.dictionary(
    fc.oneof(
      text,
      fc.constantFrom(
        'io.kubernetes.pod.name',
        'io.kubernetes.pod.namespace',
        'io.kubernetes.pod.uid',
        '__proto__',
      ),
    ),
    value,
  ),
);
const config = fc.oneof(
  value,
  fc.record(
    { Image: value, Labels: labels, Annotations: labels, Env: fc.oneof(value, fc.array(value)) },
    { requiredKeys: [] },
  ),
);
export const inspection = fc.record(
  {
    Name: value,
    Image: value,
    ImageName: value,
    OCIRuntime: value,
    Config: config,
    HostConfig: fc.oneof(value, fc.record({ Runtime: value })),
  },
  { requiredKeys: [] },
);

export function assertName(name: unknown): void {
  if (name === undefined) return;
  assert.equal(typeof name, 'string');
  assert.notEqual(name, '');
  assert.ok(Buffer.byteLength(name as string) <= NAME_BYTES_MAX);
  assert.ok((name as string).isWellFormed());
}

/** Reads an answer, and asserts that all its texts can be sent and are within their bounds; tells whether it has a pod. */
export function assertRead(dialect: EngineDialect, answer: Parameters<EngineDialect['read']>[0]): boolean {
  const read = dialect.read(answer);
  const { pod } = read;
  const tags = read.imageTags ?? [];
  for (const name of [read.name, read.ociRuntime, read.imageName, read.serviceName, ...tags])
    assertName(name);
  let bytes = 0;
  for (const [key, each] of read.labels ?? []) {
    assert.equal(typeof each, 'string');
    assert.ok(key.isWellFormed() && each.isWellFormed());
    bytes += Buffer.byteLength(key) + Buffer.byteLength(each);
  }
  assert.ok(bytes <= LABEL_BYTES_MAX);
  if (pod === undefined) return false;
  for (const name of [pod.name, pod.namespace, pod.uid, pod.containerName]) assertName(name);
  assert.ok(pod.name && pod.namespace && pod.uid);
  return true;
}
