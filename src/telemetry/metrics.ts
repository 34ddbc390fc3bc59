// fdspan's telemetry of itself, by the OpenTelemetry Node SDK: counters as OTLP metrics, and two spans
// that tell when the collector attached and stopped. Import it dynamically, after attaching: loading
// the SDK costs some 200 ms. Nothing here may stop or slow the collector's own work.
import type { Attributes, Meter, Tracer } from '@opentelemetry/api';
import type { NodeSDK } from '@opentelemetry/sdk-node';
import type { SpanProcessor } from '@opentelemetry/sdk-trace';
import { registerInstruments, type MetricsSnapshot } from './instruments.ts';
import { metricIntervalMs } from './metric-interval.ts';
import type { ScrapeReader } from './scrape-reader.ts';
import { createExporters } from './otlp-exporters.ts';
import type { OtlpTargets } from './otlp-target.ts';

export interface MetricsOptions {
  readonly targets: OtlpTargets;
  /** Whether metrics and spans are sent to the targets. */
  readonly sendsOtlp: boolean;
  /** Whether metrics are asked for as text. */
  readonly isScraped: boolean;
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
  /** Returns all metrics in the text format of Prometheus; null when they aren't scraped. */
  readonly text: (() => Promise<string>) | null;
  /** Tells how long one send took, and how it ended. */
  sent(durationSeconds: number, kind: string): void;
  /** Tells how long after its close a file's span was accepted. */
  accepted(delaySeconds: number): void;
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

/** Spans that aren't taken must not end a shutdown: it would not wait for the last metrics. */
function gentle(processor: SpanProcessor, onError: (error: unknown) => void): SpanProcessor {
  const shutdown = processor.shutdown.bind(processor);
  processor.shutdown = () => shutdown().catch(onError);
  return processor;
}

async function startSdk(
  options: MetricsOptions,
  scrapeReader: ScrapeReader | null,
  onError: (error: unknown) => void,
): Promise<NodeSDK> {
  const [{ NodeSDK }, sdkMetrics, sdkTrace, resources] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
  ]);
  const exportIntervalMillis = options.exportIntervalMs ?? metricIntervalMs(options.environment);
  const otlp = options.sendsOtlp ? await createExporters(options.targets) : null;
  const periodicReader =
    otlp === null
      ? null
      : new sdkMetrics.PeriodicExportingMetricReader({
          exporter: otlp.metrics,
          exportIntervalMillis,
          exportTimeoutMillis: Math.min(EXPORT_TIMEOUT_MS, exportIntervalMillis),
        });
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
    spanProcessors:
      otlp === null ? [] : [gentle(new sdkTrace.BatchSpanProcessor({ exporter: otlp.traces }), onError)],
    metricReaders: [periodicReader, scrapeReader].filter((reader) => reader !== null),
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
  const scrapeReader = options.isScraped ? new (await import('./scrape-reader.ts')).ScrapeReader() : null;
  const sdk = await startSdk(options, scrapeReader, onError);
  const { meter, tracer } = await instruments(options.version);
  const histograms = registerInstruments(meter, options.snapshot, options.targets.traces);
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

  return {
    ...histograms,
    text: scrapeReader === null ? null : () => scrapeReader.text(),
    shutdown: (deadlineMs) => (stopped ??= stop(deadlineMs)),
  };
}
