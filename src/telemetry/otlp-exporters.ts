// The SDK's own exporters for fdspan's telemetry, pointed where the file spans go, unless the standard
// variables say otherwise (OTLP exporter specification, "Configuration options").
import type { IOtlpExportDelegate } from '@opentelemetry/otlp-exporter-base';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { SpanExporter } from '@opentelemetry/sdk-trace';

/** Where the file spans go: what `export.*` came to be. */
export interface OtlpTarget {
  readonly protocol: 'grpc' | 'http/protobuf';
  /** Of the traces exporter; for http/protobuf with or without `/v1/traces`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** PEM; null or left out where the system's authorities and no client certificate are used. */
  readonly tls?: {
    readonly ca: Buffer | null;
    readonly cert: Buffer | null;
    readonly key: Buffer | null;
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

const TRACES_PATH = '/v1/traces';
const METRICS_PATH = '/v1/metrics';
const METRICS_CALL = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';

/** The SDK's exporters take one resource a request; this takes many. */
export interface ResourcesExporter {
  /** Encodes the metrics of one resource. */
  encode(metrics: ResourceMetrics): Uint8Array;
  /** Sends what was encoded as one request. Rejects with the reason when the backend doesn't take it. */
  send(encoded: readonly Uint8Array[]): Promise<void>;
  shutdown(): Promise<void>;
}

/** The SDK's ExportResultCode.SUCCESS. */
const EXPORT_SUCCEEDED = 0;

/** The signal's own variable, then null: an empty one counts as unset. */
function metricsVariable(environment: Environment, name: string): string | null {
  const value = environment[`OTEL_EXPORTER_OTLP_METRICS_${name}`];
  return value === undefined || value === '' ? null : value;
}

function httpUrl(endpoint: string, path: string): string {
  const base = endpoint.replace(/\/+$/, '');
  const root = base.endsWith(TRACES_PATH) ? base.slice(0, -TRACES_PATH.length) : base;
  return `${root}${path}`;
}

/** `key=value,key=value` with percent encoding (W3C Baggage, without metadata). */
function parseHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    if (equals < 1) continue;
    headers[part.slice(0, equals).trim().toLowerCase()] = decode(part.slice(equals + 1).trim());
  }
  return headers;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns where metrics go: the traces' target with what OTEL_EXPORTER_OTLP_METRICS_* replaces. */
export function metricsTarget(target: OtlpTarget, environment: Environment): OtlpTarget {
  const endpoint = metricsVariable(environment, 'ENDPOINT');
  const headers = metricsVariable(environment, 'HEADERS');
  const timeoutMs = Number(metricsVariable(environment, 'TIMEOUT') ?? target.timeoutMs);
  const asked = metricsVariable(environment, 'PROTOCOL');
  const protocol = asked === 'grpc' || asked === 'http/protobuf' ? asked : target.protocol;
  return {
    ...target,
    protocol,
    endpoint: endpoint ?? (protocol === 'grpc' ? target.endpoint : httpUrl(target.endpoint, METRICS_PATH)),
    headers: headers === null ? target.headers : { ...target.headers, ...parseHeaders(headers) },
    timeoutMs: Number.isFinite(timeoutMs) && timeoutMs > 0 ? timeoutMs : target.timeoutMs,
  };
}

async function grpcConfig({ endpoint, headers, timeoutMs, tls }: OtlpTarget) {
  const { credentials, Metadata } = await import('@grpc/grpc-js');
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const isTls = endpoint.startsWith('https:');
  return {
    url: endpoint,
    timeoutMillis: timeoutMs,
    metadata,
    credentials: isTls
      ? credentials.createSsl(tls?.ca ?? null, tls?.key ?? null, tls?.cert ?? null)
      : credentials.createInsecure(),
  };
}

function httpConfig({ endpoint, headers, timeoutMs, tls }: OtlpTarget) {
  const config = { url: endpoint, headers: { ...headers }, timeoutMillis: timeoutMs };
  if (!endpoint.startsWith('https:') || tls === undefined) return config;
  return {
    ...config,
    httpAgentOptions: {
      ...(tls.ca === null ? {} : { ca: tls.ca }),
      ...(tls.cert === null ? {} : { cert: tls.cert }),
      ...(tls.key === null ? {} : { key: tls.key }),
    },
  };
}

async function metricExporter(target: OtlpTarget): Promise<PushMetricExporter> {
  if (target.protocol === 'grpc') {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-grpc');
    return new OTLPMetricExporter(await grpcConfig(target));
  }
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
  return new OTLPMetricExporter(httpConfig(target));
}

async function traceExporter(target: OtlpTarget): Promise<SpanExporter> {
  if (target.protocol === 'grpc') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
    return new OTLPTraceExporter(await grpcConfig(target));
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter(httpConfig({ ...target, endpoint: httpUrl(target.endpoint, TRACES_PATH) }));
}

/** Creates the exporters of fdspan's own metrics and spans. Only what the protocol needs is loaded. */
export async function createExporters(
  target: OtlpTarget,
  environment: Environment,
): Promise<{ metrics: PushMetricExporter; traces: SpanExporter }> {
  const [metrics, traces] = await Promise.all([
    metricExporter(metricsTarget(target, environment)),
    traceExporter(target),
  ]);
  return { metrics, traces };
}

type Encoded = readonly Uint8Array[];

async function encodedExporter(to: OtlpTarget): Promise<IOtlpExportDelegate<Encoded>> {
  const { ProtobufMetricsSerializer } = await import('@opentelemetry/otlp-transformer');
  const serializer = {
    // The request's only field repeats: requests of one resource each, one behind the other, are one of all.
    serializeRequest: (encoded: Encoded) => Buffer.concat(encoded),
    deserializeResponse: (bytes: Uint8Array) => ProtobufMetricsSerializer.deserializeResponse(bytes),
  };
  const helper = { name: 'metric_data_point', countItems: (encoded: Encoded) => encoded.length } as const;
  if (to.protocol === 'grpc') {
    const grpc = await import('@opentelemetry/otlp-grpc-exporter-base');
    const config = grpc.convertLegacyOtlpGrpcOptions(await grpcConfig(to), 'METRICS');
    const type = 'otlp_grpc_metric_exporter';
    const name = 'MetricsExportService';
    return grpc.createOtlpGrpcExportDelegate(config, serializer, type, helper, undefined, name, METRICS_CALL);
  }
  const http = await import('@opentelemetry/otlp-exporter-base/node-http');
  const contentType = { 'Content-Type': 'application/x-protobuf' };
  const config = http.convertLegacyHttpOptions(httpConfig(to), 'METRICS', METRICS_PATH, contentType);
  return http.createOtlpHttpExportDelegate(
    config,
    serializer,
    'otlp_http_metric_exporter',
    helper,
    undefined,
  );
}

/** Creates the exporter of metrics that have resources other than fdspan's own. The SDK's transports send. */
export async function createResourcesExporter(
  target: OtlpTarget,
  environment: Environment,
): Promise<ResourcesExporter> {
  const { ProtobufMetricsSerializer } = await import('@opentelemetry/otlp-transformer');
  const exporter = await encodedExporter(metricsTarget(target, environment));
  return {
    encode: (metrics) => ProtobufMetricsSerializer.serializeRequest(metrics) ?? new Uint8Array(),
    send: (encoded) =>
      new Promise((resolve, reject) =>
        exporter.export(encoded, ({ code, error }) =>
          Number(code) === EXPORT_SUCCEEDED ? resolve() : reject(error ?? new Error('the export failed')),
        ),
      ),
    shutdown: () => exporter.shutdown(),
  };
}
