// The SDK's own exporters for fdspan's telemetry. Only what the protocol needs is loaded.
import type * as Grpc from '@grpc/grpc-js';
import type { IOtlpExportDelegate } from '@opentelemetry/otlp-exporter-base';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { OtlpTarget, OtlpTargets } from './otlp-target.ts';
import {
  EXPORT_SUCCEEDED,
  RenewedExporter,
  RenewedMetricExporter,
  type Make,
  type MetricExporter,
  type Settings,
} from './renewed-exporter.ts';

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

/** The exporter decides nothing by itself: it would take an address without a scheme for one without TLS. */
function grpcConfig(
  { credentials, Metadata }: typeof Grpc,
  { url, timeoutMs }: OtlpTarget,
  { headers, tls }: Settings,
) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const isSecure = url.protocol === 'https:';
  return {
    // With its port: else the library takes 443, also without TLS.
    url: `${url.hostname}:${url.port || (isSecure ? '443' : '80')}`,
    timeoutMillis: timeoutMs,
    metadata,
    credentials: isSecure
      ? credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null)
      : credentials.createInsecure(),
  };
}

function httpConfig({ url, timeoutMs }: OtlpTarget, { headers, agent }: Settings) {
  return {
    url: url.href,
    headers: { ...headers },
    timeoutMillis: timeoutMs,
    httpAgentOptions: () => agent,
  };
}

async function metricMaker(target: OtlpTarget): Promise<Make<ResourceMetrics, MetricExporter>> {
  if (target.protocol === 'grpc') {
    const grpc = await import('@grpc/grpc-js');
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-grpc');
    return (settings) => new OTLPMetricExporter(grpcConfig(grpc, target, settings));
  }
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
  return (settings) => new OTLPMetricExporter(httpConfig(target, settings));
}

type Spans = Parameters<SpanExporter['export']>[0];

async function traceMaker(target: OtlpTarget): Promise<Make<Spans, SpanExporter>> {
  if (target.protocol === 'grpc') {
    const grpc = await import('@grpc/grpc-js');
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
    return (settings) => new OTLPTraceExporter(grpcConfig(grpc, target, settings));
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return (settings) => new OTLPTraceExporter(httpConfig(target, settings));
}

/** Creates the exporters of fdspan's own metrics and spans. */
export async function createExporters({
  metrics,
  traces,
}: OtlpTargets): Promise<{ metrics: PushMetricExporter; traces: SpanExporter }> {
  const [makeMetrics, makeTraces] = await Promise.all([metricMaker(metrics), traceMaker(traces)]);
  return {
    metrics: new RenewedMetricExporter(metrics, makeMetrics),
    traces: new RenewedExporter(traces, makeTraces),
  };
}

type Encoded = readonly Uint8Array[];

async function encodedMaker(target: OtlpTarget): Promise<Make<Encoded, IOtlpExportDelegate<Encoded>>> {
  const { ProtobufMetricsSerializer } = await import('@opentelemetry/otlp-transformer');
  const serializer = {
    // The request's only field repeats: requests of one resource each, one behind the other, are one of all.
    serializeRequest: (encoded: Encoded) => Buffer.concat(encoded),
    deserializeResponse: (bytes: Uint8Array) => ProtobufMetricsSerializer.deserializeResponse(bytes),
  };
  const helper = { name: 'metric_data_point', countItems: (encoded: Encoded) => encoded.length } as const;
  if (target.protocol === 'grpc') {
    const grpc = await import('@grpc/grpc-js');
    const base = await import('@opentelemetry/otlp-grpc-exporter-base');
    const type = 'otlp_grpc_metric_exporter';
    const name = 'MetricsExportService';
    return (settings) => {
      const config = base.convertLegacyOtlpGrpcOptions(grpcConfig(grpc, target, settings), 'METRICS');
      return base.createOtlpGrpcExportDelegate(
        config,
        serializer,
        type,
        helper,
        undefined,
        name,
        METRICS_CALL,
      );
    };
  }
  const base = await import('@opentelemetry/otlp-exporter-base/node-http');
  const contentType = { 'Content-Type': 'application/x-protobuf' };
  const type = 'otlp_http_metric_exporter';
  return (settings) => {
    const options = httpConfig(target, settings);
    const config = base.convertLegacyHttpOptions(options, 'METRICS', METRICS_PATH, contentType);
    return base.createOtlpHttpExportDelegate(config, serializer, type, helper, undefined);
  };
}

/** Creates the exporter of metrics that have resources other than fdspan's own. The SDK's transports send. */
export async function createResourcesExporter(target: OtlpTarget): Promise<ResourcesExporter> {
  const { ProtobufMetricsSerializer } = await import('@opentelemetry/otlp-transformer');
  const exporter = new RenewedExporter(target, await encodedMaker(target));
  return {
    encode: (metrics) => ProtobufMetricsSerializer.serializeRequest(metrics) ?? new Uint8Array(),
    send: (encoded) =>
      new Promise((resolve, reject) =>
        exporter.export(encoded, ({ code, error }) =>
          code === EXPORT_SUCCEEDED ? resolve() : reject(error ?? new Error('the export failed')),
        ),
      ),
    shutdown: () => exporter.shutdown(),
  };
}
