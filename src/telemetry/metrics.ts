// fdspan's telemetry of itself, by the OpenTelemetry Node SDK: counters as OTLP metrics, and two spans
// that tell when the collector attached and stopped. Import it dynamically, after attaching: loading
// the SDK costs some 200 ms. Nothing here may stop or slow the collector's own work.
import type { Attributes, Meter, Tracer } from '@opentelemetry/api';
import type { NodeSDK } from '@opentelemetry/sdk-node';
import { registerInstruments, type MetricsSnapshot } from './instruments.ts';
import { metricIntervalMs } from './metric-interval.ts';
import { createExporters, type OtlpTarget } from './otlp-exporters.ts';

export interface MetricsOptions {
  readonly target: OtlpTarget;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly hostAttributes: Attributes;
  /** All counters and amounts by name, as in the summary. Called once per export. */
  readonly snapshot: () => MetricsSnapshot;
  /** When and how the collector attached: becomes the span `fdspan start`. */
  readonly start: {
    readonly beganUnixMs: number;
    readonly attachedUnixMs: number;
    readonly attributes: Attributes;
  };
  /** Told of the first error only; the SDK's exporters repeat them with every export. */
  readonly onError: (error: unknown) => void;
  readonly exportIntervalMs?: number;
}

export interface Metrics {
  /** Sends the last values and `fdspan stop`; gives up at the deadline. Never rejects. */
  shutdown(deadlineMs: number): Promise<void>;
}

/** Reason: an export must end before the next begins, and a hung backend holds one request only. */
const EXPORT_TIMEOUT_MS = 10_000;

/** The environment's own attributes and service name win; the SDK's detectors read them. */
function resourceDefaults(options: MetricsOptions): Attributes {
  return {
    ...options.hostAttributes,
    'service.name': 'fdspan',
    'service.version': options.version,
    'process.pid': process.pid,
  };
}

async function startSdk(options: MetricsOptions): Promise<NodeSDK> {
  const [{ NodeSDK }, sdkMetrics, sdkTrace, resources] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
  ]);
  const { metrics, traces } = await createExporters(options.target, options.environment);
  const exportIntervalMillis = options.exportIntervalMs ?? metricIntervalMs(options.environment);
  const sdk = new NodeSDK({
    autoDetectResources: false,
    resource: resources.resourceFromAttributes(resourceDefaults(options)).merge(
      resources.detectResources({
        detectors: [resources.resourceAttributesEnvDetector, resources.serviceNameEnvDetector],
      }),
    ),
    instrumentations: [],
    logRecordProcessors: [],
    textMapPropagator: null,
    sampler: new sdkTrace.AlwaysOnSampler(),
    spanProcessors: [new sdkTrace.BatchSpanProcessor({ exporter: traces })],
    metricReaders: [
      new sdkMetrics.PeriodicExportingMetricReader({
        exporter: metrics,
        exportIntervalMillis,
        exportTimeoutMillis: Math.min(EXPORT_TIMEOUT_MS, exportIntervalMillis),
      }),
    ],
  });
  sdk.start();
  return sdk;
}

function once(onError: (error: unknown) => void): (error: unknown) => void {
  let isTold = false;
  return (error) => {
    if (isTold) return;
    isTold = true;
    onError(error);
  };
}

/** The SDK tells of failed exports through the API's diagnostics only. */
async function redirectDiagnostics(onError: (error: unknown) => void): Promise<void> {
  const { diag, DiagLogLevel } = await import('@opentelemetry/api');
  const silent = (): void => {};
  const logger = { error: onError, warn: silent, info: silent, debug: silent, verbose: silent };
  diag.setLogger(logger, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
}

async function instruments(version: string): Promise<{ meter: Meter; tracer: Tracer }> {
  const { metrics, trace } = await import('@opentelemetry/api');
  return { meter: metrics.getMeter('fdspan', version), tracer: trace.getTracer('fdspan', version) };
}

function within(work: Promise<void>, deadlineMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no end within ${deadlineMs} ms`)), deadlineMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Starts the SDK, registers the instruments and sends the span `fdspan start`. Rejects only when the SDK
 * can't be loaded or the exporters refuse their settings; the caller logs that and goes on without.
 */
export async function startMetrics(options: MetricsOptions): Promise<Metrics> {
  const onError = once(options.onError);
  await redirectDiagnostics(onError);
  const sdk = await startSdk(options);
  const { meter, tracer } = await instruments(options.version);
  registerInstruments(meter, options.snapshot, options.target);
  const { beganUnixMs, attachedUnixMs, attributes } = options.start;
  tracer.startSpan('fdspan start', { startTime: beganUnixMs, attributes, root: true }).end(attachedUnixMs);
  let stopped: Promise<void> | null = null;

  async function stop(deadlineMs: number): Promise<void> {
    const stopSpan = tracer.startSpan('fdspan stop', {
      root: true,
      attributes: { 'fdspan.uptime': uptimeSeconds() },
    });
    stopSpan.end();
    try {
      await within(sdk.shutdown(), deadlineMs);
    } catch (error) {
      onError(error);
    }
  }

  function uptimeSeconds(): number {
    return Math.max(0, (Date.now() - attachedUnixMs) / 1000);
  }

  return { shutdown: (deadlineMs) => (stopped ??= stop(deadlineMs)) };
}
