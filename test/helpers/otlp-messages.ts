// The OTLP messages by an official decoder (protobufjs and the protocol's definitions), which shares
// nothing with fdspan's own encoder.
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const folder = fileURLToPath(new URL('./proto/', import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith('/') ? target : `${folder}${target}`);
root.loadSync(['opentelemetry/proto/collector/trace/v1/trace_service.proto', 'rpc-status.proto']);

const service = 'opentelemetry.proto.collector.trace.v1';
export const ExportRequest = root.lookupType(`${service}.ExportTraceServiceRequest`);
export const ExportResponse = root.lookupType(`${service}.ExportTraceServiceResponse`);
export const RpcStatus = root.lookupType('google.rpc.Status');
const RetryInfo = root.lookupType('google.rpc.RetryInfo');

/** The path of the definition, for gRPC's own loader. */
export const traceServiceProto = `${folder}opentelemetry/proto/collector/trace/v1/trace_service.proto`;

// Spans are left as bytes: counting 100,000 of them must not cost their decoding.
const counting = protobuf
  .parse(
    `syntax = "proto3";
message ScopeSpans { repeated bytes spans = 2; } message ResourceSpans { repeated ScopeSpans scope_spans = 2; }
message Request { repeated ResourceSpans resource_spans = 1; }`,
  )
  .root.lookupType('Request');

type Plain = any;

export type OtlpValue =
  string | bigint | number | boolean | Uint8Array | OtlpValue[] | { [key: string]: OtlpValue } | null;
export type OtlpAttributes = Record<string, OtlpValue>;

export interface OtlpLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  readonly attributes: OtlpAttributes;
  readonly flags: number;
}

export interface OtlpEvent {
  readonly timeUnixNano: bigint;
  readonly name: string;
  readonly attributes: OtlpAttributes;
}

export interface OtlpSpan {
  /** Identifiers are hexadecimal; '' for none. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 INTERNAL, 2 SERVER, 3 CLIENT, 4 PRODUCER, 5 CONSUMER. */
  readonly kind: number;
  readonly startTimeUnixNano: bigint;
  readonly endTimeUnixNano: bigint;
  readonly attributes: OtlpAttributes;
  readonly droppedAttributesCount: number;
  /** 0 UNSET, 1 OK, 2 ERROR. */
  readonly status: { readonly code: number; readonly message: string };
  readonly traceState: string;
  readonly flags: number;
  readonly links: readonly OtlpLink[];
  readonly events: readonly OtlpEvent[];
}

/** One span with what it belongs to. */
export interface ReceivedSpan {
  readonly resource: { readonly attributes: OtlpAttributes; readonly droppedAttributesCount: number };
  readonly scope: { readonly name: string; readonly version: string };
  /** Of the scope's spans. */
  readonly schemaUrl: string;
  readonly resourceSchemaUrl: string;
  readonly span: OtlpSpan;
}

/** Returns how many spans a request holds. Throws when it is no request. */
export function countSpans(request: Uint8Array): number {
  const { resourceSpans = [] } = counting.decode(request) as Plain;
  let spans = 0;
  for (const { scopeSpans = [] } of resourceSpans)
    for (const scope of scopeSpans) spans += scope.spans?.length ?? 0;
  return spans;
}

/** Returns a request's spans, in order. Throws when it is no request, or holds a key twice. */
export function decodeSpans(request: Uint8Array): ReceivedSpan[] {
  const received: ReceivedSpan[] = [];
  for (const resourceSpans of (ExportRequest.decode(request) as Plain).resourceSpans) {
    const resource = {
      attributes: attributesOf(resourceSpans.resource?.attributes ?? []),
      droppedAttributesCount: resourceSpans.resource?.droppedAttributesCount ?? 0,
    };
    for (const scopeSpans of resourceSpans.scopeSpans) {
      const scope = { name: scopeSpans.scope?.name ?? '', version: scopeSpans.scope?.version ?? '' };
      const { schemaUrl } = scopeSpans;
      for (const span of scopeSpans.spans) {
        received.push({
          resource,
          scope,
          schemaUrl,
          resourceSchemaUrl: resourceSpans.schemaUrl,
          span: spanOf(span),
        });
      }
    }
  }
  return received;
}

function spanOf(span: Plain): OtlpSpan {
  return {
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId),
    name: span.name,
    kind: span.kind,
    startTimeUnixNano: BigInt(span.startTimeUnixNano.toString()),
    endTimeUnixNano: BigInt(span.endTimeUnixNano.toString()),
    attributes: attributesOf(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount,
    status: { code: span.status?.code ?? 0, message: span.status?.message ?? '' },
    traceState: span.traceState,
    flags: span.flags,
    links: span.links.map((link: Plain) => ({
      traceId: hex(link.traceId),
      spanId: hex(link.spanId),
      traceState: link.traceState,
      attributes: attributesOf(link.attributes),
      flags: link.flags,
    })),
    events: span.events.map((event: Plain) => ({
      timeUnixNano: BigInt(event.timeUnixNano.toString()),
      name: event.name,
      attributes: attributesOf(event.attributes),
    })),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function attributesOf(keyValues: readonly Plain[]): OtlpAttributes {
  const attributes: OtlpAttributes = {};
  for (const { key, value } of keyValues) {
    if (key in attributes) throw new Error(`the attribute ${key} is there twice`);
    attributes[key] = valueOf(value);
  }
  return attributes;
}

function valueOf(value: Plain): OtlpValue {
  switch (value?.value) {
    case 'stringValue':
      return value.stringValue;
    case 'boolValue':
      return value.boolValue;
    case 'intValue':
      return integerOf(value.intValue.toString());
    case 'doubleValue':
      return value.doubleValue;
    case 'arrayValue':
      return value.arrayValue.values.map(valueOf);
    case 'kvlistValue':
      return attributesOf(value.kvlistValue.values);
    case 'bytesValue':
      return value.bytesValue;
    default:
      return null;
  }
}

/** A number where it is exact, else a bigint. */
function integerOf(text: string): number | bigint {
  return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
}

/** Encodes an ExportTraceServiceResponse. */
export function encodeResponse(rejectedSpans = 0, errorMessage = ''): Buffer {
  const partialSuccess =
    rejectedSpans === 0 && errorMessage === '' ? undefined : { rejectedSpans, errorMessage };
  return Buffer.from(ExportResponse.encode(ExportResponse.fromObject({ partialSuccess })).finish());
}

/** Encodes a google.rpc.Status; with a delay, its details hold a RetryInfo. */
export function encodeRpcStatus(code: number, message: string, retryDelayMs?: number): Buffer {
  const details: object[] = [];
  if (retryDelayMs !== undefined) {
    const retryDelay = { seconds: Math.floor(retryDelayMs / 1000), nanos: (retryDelayMs % 1000) * 1e6 };
    const value = RetryInfo.encode(RetryInfo.fromObject({ retryDelay })).finish();
    details.push({ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value });
  }
  return Buffer.from(RpcStatus.encode(RpcStatus.fromObject({ code, message, details })).finish());
}
