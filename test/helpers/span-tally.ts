// Counts millions of spans as they come: by container, what they stand for, and whether threshold and trace id agree. It
// decodes (by protobufjs) only the fields that it asks for.
import assert from 'node:assert/strict';
import protobuf from 'protobufjs';
import { adjustedCount, thresholdOf } from './adjusted-counts.ts';

const Request = protobuf
  .parse(
    `syntax = "proto3";
message Value { string string_value = 1; } message KeyValue { string key = 1; Value value = 2; }
message Resource { repeated KeyValue attributes = 1; }
message Span { bytes trace_id = 1; string trace_state = 3; bytes parent_span_id = 4; fixed64 start = 7; fixed32 flags = 16; }
message ScopeSpans { repeated Span spans = 2; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Request { repeated ResourceSpans resource_spans = 1; }`,
  )
  .root.lookupType('Request');

/** Sampled, with a random trace id, and no parent elsewhere. */
const FLAGS = 0x103;

interface Plain {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { key: string; value: { stringValue: string } }[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: Uint8Array;
        readonly traceState: string;
        readonly parentSpanId: Uint8Array;
        readonly start: { toString(): string };
        readonly flags: number;
      }[];
    }[];
  }[];
}

export interface ContainerTally {
  /** Without roots. */
  spans: number;
  estimate: number;
}

export class SpanTally {
  readonly containers = new Map<string, ContainerTally>();
  /** Spans of files by the wall clock's second of their start. */
  readonly bySecond = new Map<number, number>();
  roots = 0;

  /** Takes a request; asserts of every span that its trace id's randomness reaches its threshold. */
  take(request: Uint8Array): void {
    for (const { resource, scopeSpans } of (Request.decode(request) as unknown as Plain).resourceSpans) {
      const id = resource.attributes.find(({ key }) => key === 'container.id')!.value.stringValue;
      const own = this.containers.get(id) ?? { spans: 0, estimate: 0 };
      this.containers.set(id, own);
      for (const { spans } of scopeSpans) for (const span of spans) this.#takeSpan(span, own);
    }
  }

  #takeSpan(span: Plain['resourceSpans'][0]['scopeSpans'][0]['spans'][0], own: ContainerTally): void {
    const threshold = thresholdOf(span.traceState);
    assert.ok(threshold !== null, 'no slice of this load lost anything but by chance');
    const randomness = BigInt(`0x${Buffer.from(span.traceId).toString('hex').slice(-14)}`);
    assert.ok(
      randomness >= threshold,
      `trace ${Buffer.from(span.traceId).toString('hex')}, ${span.traceState}`,
    );
    assert.equal(span.flags, FLAGS);
    if (span.parentSpanId.length === 0) {
      this.roots += 1;
      return;
    }
    own.spans += 1;
    own.estimate += adjustedCount(threshold);
    const second = Number(BigInt(span.start.toString()) / 1_000_000_000n);
    this.bySecond.set(second, (this.bySecond.get(second) ?? 0) + 1);
  }
}
