// Turns sealed OTLP requests back into the rows that `tail` shows, within a budget of rows a second: the
// rest is counted. Runs on the main thread, and only while somebody watches.
import protobuf from 'protobufjs';
import { MULTI_CALL_PROGRAMS } from '../model/multi-call.ts';
import { OTLP_DESCRIPTOR } from './otlp-descriptor.ts';

export interface SpanRow {
  /** Start of the span, RFC 3339 with nanoseconds. */
  readonly time: string;
  /** `service.name` of the container. */
  readonly container: string;
  readonly container_id: string;
  readonly runtime: string;
  readonly process: string;
  readonly pid: number;
  readonly path: string;
  readonly access: string;
  readonly flags: string;
  readonly duration_ns: number;
  readonly reason: string;
  /** Symbol of the errno of a failed open; empty otherwise. */
  readonly error: string;
}

/** Reason: more than a person can read and less than 1 % of a core; overflow: `skipped`. */
export const ROWS_PER_SECOND_MAX = 500;

type Value = string | number | boolean;
type Integer = number | { toString(): string };

interface KeyValue {
  readonly key?: string;
  readonly value?: {
    readonly value?: string;
    readonly stringValue?: string;
    readonly boolValue?: boolean;
    readonly intValue?: Integer;
    readonly doubleValue?: number;
  };
}

interface Request {
  readonly resourceSpans: readonly {
    readonly resource?: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly Uint8Array[] }[];
  }[];
}

interface Span {
  readonly startTimeUnixNano?: Integer;
  readonly endTimeUnixNano?: Integer;
  readonly attributes: readonly KeyValue[];
}

const root = protobuf.Root.fromJSON(OTLP_DESCRIPTOR);
const requestType = root.lookupType('ExportTraceServiceRequest');
const spanType = root.lookupType('Span');

const NS_PER_SECOND = 1_000_000_000n;
const MS_PER_SECOND = 1000n;

function valueOf({ value }: KeyValue): Value | undefined {
  switch (value?.value) {
    case 'stringValue':
      return value.stringValue;
    case 'boolValue':
      return value.boolValue;
    case 'doubleValue':
      return value.doubleValue;
    case 'intValue':
      return Number(value.intValue);
    default:
      return undefined;
  }
}

function byKey(attributes: readonly KeyValue[]): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const attribute of attributes) {
    const value = valueOf(attribute);
    if (value !== undefined) values.set(attribute.key ?? '', value);
  }
  return values;
}

function bigintOf(value: Integer | undefined): bigint {
  return value === undefined ? 0n : BigInt(value.toString());
}

/** Dates end in the year 275760; a damaged time is shown as the epoch. */
function timeText(unixNs: bigint): string {
  const seconds = new Date(Number((unixNs / NS_PER_SECOND) * MS_PER_SECOND));
  if (Number.isNaN(seconds.getTime())) return '1970-01-01T00:00:00.000000000Z';
  return `${seconds.toISOString().slice(0, -'.000Z'.length)}.${String(unixNs % NS_PER_SECOND).padStart(9, '0')}Z`;
}

function text(values: Map<string, Value>, key: string): string {
  const value = values.get(key);
  return value === undefined ? '' : String(value);
}

/** What a person calls the process: `cat`, not `busybox`. */
function processOf(values: Map<string, Value>): string {
  const executable = text(values, 'process.executable.name');
  const isMultiCall = MULTI_CALL_PROGRAMS.includes(executable);
  return (isMultiCall && text(values, 'thread.name')) || executable;
}

/** Spans without a path (roots of traces) are no rows. */
function rowOf(resource: Map<string, Value>, span: Span): SpanRow | null {
  const values = byKey(span.attributes);
  const path = values.get('file.path');
  if (path === undefined) return null;
  const startNs = bigintOf(span.startTimeUnixNano);
  return {
    time: timeText(startNs),
    container: text(resource, 'service.name'),
    container_id: text(resource, 'container.id'),
    runtime: text(resource, 'container.runtime.name') || text(resource, 'fdspan.oci.runtime'),
    process: processOf(values),
    pid: Number(values.get('process.pid') ?? 0),
    path: String(path),
    access: text(values, 'fdspan.access'),
    flags: text(values, 'fdspan.open.flags'),
    duration_ns: Number(bigintOf(span.endTimeUnixNano) - startNs),
    reason: text(values, 'fdspan.close.reason'),
    error: text(values, 'error.type'),
  };
}

export interface DecodedRows {
  readonly rows: SpanRow[];
  /** All spans of the request, shown or not. */
  readonly spans: number;
  readonly skipped: number;
}

/** Decodes an ExportTraceServiceRequest, at most `rowsMax` of its spans. Throws on damaged bytes. */
export function decodeRows(request: Uint8Array, rowsMax: number): DecodedRows {
  const decoded = requestType.decode(request) as unknown as Request;
  const rows: SpanRow[] = [];
  let spans = 0;
  let decodedSpans = 0;
  for (const { resource, scopeSpans } of decoded.resourceSpans) {
    const values = byKey(resource?.attributes ?? []);
    for (const scope of scopeSpans) {
      spans += scope.spans.length;
      for (const bytes of scope.spans) {
        if (decodedSpans >= rowsMax) break;
        decodedSpans++;
        const row = rowOf(values, spanType.decode(bytes) as unknown as Span);
        if (row !== null) rows.push(row);
      }
    }
  }
  return { rows, spans, skipped: spans - decodedSpans };
}

const SECOND_MS = 1000;

/** Gives out the rows of each second until they are spent. */
export class RowBudget {
  readonly #rowsPerSecondMax: number;
  readonly #nowMs: () => number;
  #secondStartMs = 0;
  #spent = 0;

  constructor(rowsPerSecondMax: number = ROWS_PER_SECOND_MAX, nowMs: () => number = () => performance.now()) {
    this.#rowsPerSecondMax = rowsPerSecondMax;
    this.#nowMs = nowMs;
    this.#secondStartMs = nowMs();
  }

  /** Decodes within what is left of this second. */
  decode(request: Uint8Array): DecodedRows {
    const nowMs = this.#nowMs();
    if (nowMs - this.#secondStartMs >= SECOND_MS) {
      this.#secondStartMs = nowMs;
      this.#spent = 0;
    }
    const decoded = decodeRows(request, this.#rowsPerSecondMax - this.#spent);
    this.#spent += decoded.spans - decoded.skipped;
    return decoded;
  }
}
