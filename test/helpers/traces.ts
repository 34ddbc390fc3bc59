// What holds for any set of traces that a collector has sent until its stop (docs/data-model.md, "Traces").
import assert from 'node:assert/strict';
import type { ReceivedSpan } from './otlp-messages.ts';

/** Whether the span is the root of a trace, and no file's. */
export function isRoot({ span }: ReceivedSpan): boolean {
  return span.attributes['fdspan.execution.id'] !== undefined && span.attributes['file.path'] === undefined;
}

/** Asserts that every file's span hangs below the one root of its trace, which counts and spans its children. */
export function assertTraces(files: readonly ReceivedSpan[], roots: readonly ReceivedSpan[]): void {
  const rootOf = new Map(roots.map((root) => [root.span.traceId, root]));
  assert.equal(rootOf.size, roots.length, 'a trace has one root');
  const children = Map.groupBy(files, ({ span }) => span.traceId);
  for (const [traceId, spans] of children) {
    const root = rootOf.get(traceId);
    assert.ok(root !== undefined, `trace ${traceId} of ${spans[0].span.name} has a root`);
    for (const { span, resource } of spans) {
      assert.equal(span.parentSpanId, root.span.spanId);
      assert.equal(resource.attributes['container.id'], root.resource.attributes['container.id']);
      assert.ok(BigInt(root.span.startTimeUnixNano) <= BigInt(span.startTimeUnixNano), 'starts in its root');
      assert.ok(BigInt(root.span.endTimeUnixNano) >= BigInt(span.endTimeUnixNano), 'ends in its root');
    }
  }
  const known = new Set(roots.map(({ span }) => `${span.traceId} ${span.spanId}`));
  for (const { span } of roots) {
    assert.equal(Number(span.attributes['fdspan.files']), children.get(span.traceId)?.length ?? 0);
    const reports = (children.get(span.traceId) ?? []).filter(
      (child) => child.span.attributes['fdspan.close.reason'] === 'held',
    );
    assert.equal(Number(span.attributes['fdspan.files.held'] ?? 0), reports.length);
    assert.equal(span.parentSpanId, '');
    for (const link of span.links)
      assert.ok(known.has(`${link.traceId} ${link.spanId}`), 'a root links to roots that were sent');
  }
}
