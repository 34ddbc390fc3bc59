// Adds up, request by request, what backends limit in traces, and compares it with their limits.
import assert from 'node:assert/strict';
import { sketchSpans, type SpanSketch } from './span-bytes.ts';

/** Limits of the backends by default, and where they are written. */
export const JAEGER_SPANS_MAX = 10_000;
/** `max_bytes_per_trace` of Tempo. */
export const TEMPO_TRACE_BYTES_MAX = 5_000_000;
/** `max_traces_per_user` of Tempo. */
export const TEMPO_LIVE_TRACES_MAX = 10_000;
/** Tempo cuts a live trace after that time (`max_trace_live` of the live store), and tail samplers decide then. */
export const LIVE_TRACE_SECONDS_MAX = 30;
/** `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT`: what an SDK would keep. */
export const SDK_COUNT_MAX = 128;
/** Requests that the exporter has in flight: by so many its order can be changed on the way. */
const IN_FLIGHT = 4;

interface TraceSums {
  spans: number;
  bytes: number;
  roots: number;
  readonly firstMs: number;
  lastMs: number;
  lastRequest: number;
  rootRequest: number;
  resourceRequest: number;
}

export interface LimitFindings {
  readonly requests: number;
  readonly spans: number;
  readonly traces: number;
  readonly spansPerTraceMax: number;
  readonly bytesPerTraceMax: number;
  readonly bytesPerSpanMean: number;
  readonly liveTracesMax: number;
  readonly liveSecondsMax: number;
  readonly attributesMax: number;
  readonly attributeBytesMax: number;
  readonly nameBytesMax: number;
  readonly linksMax: number;
  readonly withoutRoot: number;
  readonly withTwoRoots: number;
  /** Traces that got a span in a request after that of their root, and by how many requests at most. */
  readonly afterRoot: number;
  readonly requestsAfterRootMax: number;
}

export class TraceLimits {
  private readonly traces = new Map<string, TraceSums>();
  private requests = 0;
  private spans = 0;
  private spanBytes = 0;
  private attributesMax = 0;
  private attributeBytesMax = 0;
  private nameBytesMax = 0;
  private linksMax = 0;

  take(request: Buffer, receivedMs: number): void {
    this.requests += 1;
    sketchSpans(request, (span) => this.takeSpan(span, receivedMs));
  }

  findings(): LimitFindings {
    const all = [...this.traces.values()];
    const most = (of: (sums: TraceSums) => number): number =>
      all.reduce((max, sums) => Math.max(max, of(sums)), 0);
    const after = all.filter(({ lastRequest, rootRequest }) => lastRequest > rootRequest);
    return {
      requests: this.requests,
      spans: this.spans,
      traces: all.length,
      spansPerTraceMax: most(({ spans }) => spans),
      bytesPerTraceMax: most(({ bytes }) => bytes),
      bytesPerSpanMean: this.spanBytes / this.spans,
      liveTracesMax: liveAtOnce(all),
      liveSecondsMax: most(({ firstMs, lastMs }) => lastMs - firstMs) / 1000,
      attributesMax: this.attributesMax,
      attributeBytesMax: this.attributeBytesMax,
      nameBytesMax: this.nameBytesMax,
      linksMax: this.linksMax,
      withoutRoot: all.filter(({ roots }) => roots === 0).length,
      withTwoRoots: all.filter(({ roots }) => roots > 1).length,
      afterRoot: after.length,
      requestsAfterRootMax: after.reduce(
        (max, sums) => Math.max(max, sums.lastRequest - sums.rootRequest),
        0,
      ),
    };
  }

  private takeSpan(span: SpanSketch, receivedMs: number): void {
    const { requests, traces } = this;
    let sums = traces.get(span.traceId);
    if (sums === undefined) {
      const none = { spans: 0, bytes: 0, roots: 0, rootRequest: Infinity, resourceRequest: 0 };
      sums = { ...none, firstMs: receivedMs, lastMs: receivedMs, lastRequest: requests };
      traces.set(span.traceId, sums);
    }
    sums.spans += 1;
    sums.bytes += span.spanBytes;
    // A backend that puts traces together from requests keeps the resource with each part.
    if (sums.resourceRequest !== requests) sums.bytes += span.resourceBytes;
    sums.resourceRequest = requests;
    sums.lastMs = receivedMs;
    sums.lastRequest = requests;
    if (span.parentSpanId === '') {
      sums.roots += 1;
      sums.rootRequest = requests;
    }
    this.spans += 1;
    this.spanBytes += span.spanBytes;
    this.attributesMax = Math.max(this.attributesMax, span.attributes);
    this.attributeBytesMax = Math.max(this.attributeBytesMax, span.attributeBytesMax);
    this.nameBytesMax = Math.max(this.nameBytesMax, span.nameBytes);
    this.linksMax = Math.max(this.linksMax, span.links);
  }
}

/** The most traces between their first span and their last one at any time. */
function liveAtOnce(traces: readonly TraceSums[]): number {
  const begins = traces.map(({ firstMs }) => firstMs).sort((one, other) => one - other);
  const ends = traces.map(({ lastMs }) => lastMs).sort((one, other) => one - other);
  let [live, most, ended] = [0, 0, 0];
  for (const begin of begins) {
    live += 1;
    while (ends[ended] < begin) {
      live -= 1;
      ended += 1;
    }
    most = Math.max(most, live);
  }
  return most;
}

/** What was found, beside the limit of each. */
export function limitTable(found: LimitFindings, spansMax: number): string {
  const rows: [string, number, string][] = [
    [
      'spans of a trace',
      found.spansPerTraceMax,
      `${spansMax} (trace.spans_max + root); Jaeger ${JAEGER_SPANS_MAX}`,
    ],
    ['bytes of a trace', found.bytesPerTraceMax, `${TEMPO_TRACE_BYTES_MAX} (Tempo)`],
    ['traces live at once', found.liveTracesMax, `${TEMPO_LIVE_TRACES_MAX} (Tempo)`],
    [
      'seconds from first to last span',
      found.liveSecondsMax,
      `${LIVE_TRACE_SECONDS_MAX} (Tempo, tail samplers)`,
    ],
    ['attributes of a span', found.attributesMax, `${SDK_COUNT_MAX} (SDK)`],
    ['links of a span', found.linksMax, `${SDK_COUNT_MAX} (SDK)`],
    ['bytes of an attribute', found.attributeBytesMax, 'Tempo cuts values at 2,048'],
    ['bytes of a name', found.nameBytesMax, '256 (Jaeger on Elasticsearch)'],
    ['traces without a root', found.withoutRoot, '0'],
    ['traces with two roots', found.withTwoRoots, '0'],
    ['requests after the root', found.requestsAfterRootMax, `< ${IN_FLIGHT} in flight`],
    ['traces', found.traces, ''],
    ['spans', found.spans, ''],
    ['requests', found.requests, ''],
    ['bytes of a span, mean', found.bytesPerSpanMean, ''],
  ];
  const number = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 1 });
  return rows
    .map(([what, value, limit]) => `${what.padEnd(34)}${number(value).padStart(12)}  ${limit}`)
    .join('\n');
}

/** Asserts that each limit holds. */
export function assertLimits(found: LimitFindings, spansMax: number): void {
  const table = limitTable(found, spansMax);
  const atMost = (value: number, limit: number, what: string): void =>
    assert.ok(value <= limit, `${what}: ${value} is more than ${limit}\n${table}`);
  atMost(found.spansPerTraceMax, Math.min(spansMax, JAEGER_SPANS_MAX), 'spans of a trace');
  atMost(found.bytesPerTraceMax, TEMPO_TRACE_BYTES_MAX, 'bytes of a trace');
  atMost(found.liveTracesMax, TEMPO_LIVE_TRACES_MAX, 'traces live at once');
  atMost(found.liveSecondsMax, LIVE_TRACE_SECONDS_MAX, 'seconds from the first to the last span');
  atMost(found.attributesMax, SDK_COUNT_MAX, 'attributes of a span');
  atMost(found.linksMax, SDK_COUNT_MAX, 'links of a span');
  atMost(found.nameBytesMax, 256, 'bytes of a name');
  atMost(found.withoutRoot, 0, 'traces without a root');
  atMost(found.withTwoRoots, 0, 'traces with two roots');
  atMost(found.requestsAfterRootMax, IN_FLIGHT - 1, 'requests after the root');
}
