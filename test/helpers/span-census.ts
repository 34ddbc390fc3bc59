// Counts, by their ids, the spans that a backend has taken: of the workload's numbered files, and roots. It decodes (by
// protobufjs) only the fields that it asks for.
import protobuf from 'protobufjs';

const Request = protobuf
  .parse(
    `syntax = "proto3";
message Value { string string_value = 1; } message KeyValue { string key = 1; Value value = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; repeated KeyValue attributes = 9; }
message ScopeSpans { repeated Span spans = 2; }
message ResourceSpans { repeated ScopeSpans scope_spans = 2; }
message Request { repeated ResourceSpans resource_spans = 1; }`,
  )
  .root.lookupType('Request');

interface Plain {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: Uint8Array;
        readonly spanId: Uint8Array;
        readonly attributes: readonly { key: string; value: { stringValue: string } }[];
      }[];
    }[];
  }[];
}

/** One span as a census knows it. */
export interface CountedSpan {
  /** Trace id and span id. */
  readonly id: string;
  /** null: a root. */
  readonly path: string | null;
  /** Why it ended. */
  readonly reason: string;
}

/** Returns a request's spans. Throws when it is no request. */
export function spansIn(request: Uint8Array): CountedSpan[] {
  const { resourceSpans } = Request.decode(request) as unknown as Plain;
  return resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ traceId, spanId, attributes }) => {
        const read = (name: string): string | undefined =>
          attributes.find(({ key }) => key === name)?.value.stringValue;
        return {
          id: Buffer.concat([traceId, spanId]).toString('hex'),
          path: read('file.path') ?? null,
          reason: read('fdspan.close.reason') ?? '',
        };
      }),
    ),
  );
}

export class SpanCensus {
  /** The paths of the files' spans by their ids. */
  readonly files = new Map<string, string>();
  readonly roots = new Set<string>();
  /** Why each file's span ended. */
  readonly #reasons = new Map<string, string>();
  /** Spans of files that came again. */
  duplicates = 0;
  rootDuplicates = 0;

  readonly take = (request: Uint8Array): void => {
    for (const { id, path, reason } of spansIn(request)) {
      if (path === null) {
        if (this.roots.has(id)) this.rootDuplicates += 1;
        this.roots.add(id);
      } else {
        if (this.files.has(id)) this.duplicates += 1;
        this.files.set(id, path);
        this.#reasons.set(id, reason);
      }
    }
  };

  has({ id, path }: CountedSpan): boolean {
    return path === null ? this.roots.has(id) : this.files.get(id) === path;
  }

  /**
   * The files that have more than one span, with the reasons of their ends. One that was open at a stop may: the next collector
   * takes it over.
   */
  get doubled(): readonly string[] {
    const byPath = Map.groupBy(this.files.keys(), (id) => this.files.get(id) ?? '');
    return [...byPath]
      .map(([path, ids]) => ({ path, reasons: ids.map((id) => this.#reasons.get(id)) }))
      .filter(({ reasons }) => reasons.filter((reason) => reason !== 'stop').length > 1)
      .map(({ path, reasons }) => `${path}: ${reasons.join(', ')}`);
  }
}
