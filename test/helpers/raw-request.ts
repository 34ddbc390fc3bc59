// A request as an independent reader takes it (protobufjs and the protocol's own definitions), with its texts left as
// bytes: a reader that makes strings of them hides those that aren't UTF-8, which other readers refuse.
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';

/** docs/traces.md: Jaeger on Elasticsearch doesn't find longer ones. */
const NAME_BYTES_MAX = 255;
const FOLDER = join(import.meta.dirname, 'proto/opentelemetry/proto');
const FILES = [
  'common/v1/common',
  'resource/v1/resource',
  'trace/v1/trace',
  'collector/trace/v1/trace_service',
];
const root = new protobuf.Root();
for (const file of FILES) {
  const text = readFileSync(join(FOLDER, `${file}.proto`), 'utf8');
  const rawText = text.replaceAll(/^import .*$/gm, '').replaceAll(/(?<=^|\s)string (?=\w+ = \d)/gm, 'bytes ');
  protobuf.parse(rawText, root);
}
const Request = root.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest');

export interface RequestCounts {
  files: number;
  roots: number;
  held: number;
}

/* The decoder's messages are of no type. */
type Plain = any;

/** Asserts that a request is whole, and that each of its texts, ids and keys may be there; returns its spans by kind. */
export function assertWholeRequest(bytes: Uint8Array): RequestCounts {
  const counts = { files: 0, roots: 0, held: 0 };
  const containers = (Request.decode(bytes) as Plain).resourceSpans;
  assert.ok(containers.length > 0, 'a request holds something');
  for (const { resource, scopeSpans } of containers) {
    assertAttributes(resource.attributes);
    assert.equal(scopeSpans.length, 1);
    assertText(scopeSpans[0].scope.name);
    assert.ok(scopeSpans[0].spans.length > 0, 'a container of a request has spans');
    for (const span of scopeSpans[0].spans) {
      assertSpan(span);
      if (span.parentSpanId.length === 0) counts.roots += 1;
      else if (Buffer.from(span.name).toString('latin1').startsWith('held')) counts.held += 1;
      else counts.files += 1;
    }
  }
  return counts;
}

function assertSpan(span: Plain): void {
  assertId(span.traceId, 16);
  assertId(span.spanId, 8);
  if (span.parentSpanId.length > 0) assertId(span.parentSpanId, 8);
  assertText(span.name);
  assert.ok(
    span.name.length > 0 && span.name.length <= NAME_BYTES_MAX,
    `a name of ${span.name.length} bytes`,
  );
  assert.equal(span.kind, 1);
  assertText(span.traceState);
  assertAttributes(span.attributes);
  if (span.status) {
    assert.ok([0, 1, 2].includes(span.status.code));
    assertText(span.status.message);
  }
  for (const { traceId, spanId, traceState, attributes } of span.links) {
    assertId(traceId, 16);
    assertId(spanId, 8);
    assertText(traceState);
    assertAttributes(attributes);
  }
}

function assertAttributes(attributes: readonly Plain[]): void {
  const keys = new Set<string>();
  for (const { key, value } of attributes) {
    assertText(key);
    keys.add(Buffer.from(key).toString('latin1'));
    if (value.value === 'stringValue') assertText(value.stringValue);
  }
  assert.equal(keys.size, attributes.length, 'no key stands twice');
  assert.ok(!keys.has(''));
}

function assertId(id: Uint8Array, bytes: number): void {
  assert.equal(id.length, bytes);
  assert.ok(
    id.some((byte) => byte !== 0),
    'an id of zeros is none',
  );
}

function assertText(text: Uint8Array): void {
  // The decoder gives an empty list where nothing was sent.
  assert.ok(text.length === 0 || isUtf8(text), `${Buffer.from(text).toString('hex')} is no UTF-8`);
}
