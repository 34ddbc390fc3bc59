// The instruments of fdspan's own metrics. All but the histograms are observable: one call of `snapshot` per export feeds them.
import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api';
import { COUNTERS, counter, GAUGES, type Instrument } from './instrument-list.ts';
import { DROPS, EXPORT_DROPS } from './summary.ts';

/** Counters and amounts by name; a missing one isn't reported. */
export type MetricsSnapshot = Readonly<Record<string, number>>;

export interface ExporterAddress {
  readonly protocol: 'grpc' | 'http/protobuf';
  readonly url: URL;
}

/** Attributes of otel.sdk.exporter.*: component and server, as the semantic conventions ask. */
function exporterAttributes({ protocol, url }: ExporterAddress): Record<string, string | number> {
  const type = protocol === 'grpc' ? 'otlp_grpc_span_exporter' : 'otlp_http_span_exporter';
  const attributes: Record<string, string | number> = {
    'otel.component.type': type,
    'otel.component.name': `fdspan/${type}/0`,
  };
  attributes['server.address'] = url.hostname;
  if (url.port !== '') attributes['server.port'] = Number(url.port);
  return attributes;
}

/** Told by instruments of their own. */
const TOLD = new Set([
  'spans_accepted',
  'in_flight',
  ...DROPS.map(({ reason }) => reason),
  ...[...COUNTERS, ...GAUGES].map((it) => it.counter),
]);

/** What is counted but described nowhere is told all the same. */
function undescribed(values: MetricsSnapshot): Instrument[] {
  return Object.keys(values)
    .filter((name) => !TOLD.has(name))
    .map((name) => counter(name, '1', `${name} of the summary`));
}

/** Seconds; a backend answers in milliseconds, and a send ends at export.timeout. */
const DURATION_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds; while the backend is down spans wait for hours. */
const DELAY_BOUNDS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300, 3600];

/** Where single values are told. */
export interface Histograms {
  sent(durationSeconds: number, kind: string): void;
  accepted(delaySeconds: number): void;
}

function createHistograms(meter: Meter, exporter: Record<string, string | number>): Histograms {
  const durations = meter.createHistogram('otel.sdk.exporter.operation.duration', {
    unit: 's',
    description: 'Time of one request to the backend, with error.type where it failed',
    advice: { explicitBucketBoundaries: DURATION_BOUNDS },
  });
  const delays = meter.createHistogram('fdspan.span.delay', {
    unit: 's',
    description: 'Time from the close of the first file of a request until the backend took it',
    advice: { explicitBucketBoundaries: DELAY_BOUNDS },
  });
  return {
    sent: (seconds, kind) =>
      durations.record(seconds, kind === 'success' ? exporter : { ...exporter, 'error.type': kind }),
    accepted: (seconds) => delays.record(seconds),
  };
}

/** Creates the instruments and their one callback; returns those that are told of single values. */
export function registerInstruments(
  meter: Meter,
  snapshot: () => MetricsSnapshot,
  address: ExporterAddress,
): Histograms {
  const described = [...COUNTERS, ...undescribed(snapshot())];
  const counters = described.map((it) => ({ ...it, instrument: meter.createObservableCounter(it.name, it) }));
  const gauges = GAUGES.map((it) => ({
    ...it,
    instrument: meter.createObservableUpDownCounter(it.name, it),
  }));
  const exported = meter.createObservableCounter('otel.sdk.exporter.span.exported', {
    unit: '{span}',
    description: 'File spans whose export has ended, with error.type where it failed',
  });
  const inflight = meter.createObservableUpDownCounter('otel.sdk.exporter.span.inflight', {
    unit: '{span}',
    description: 'File spans that are handed to the exporter and not yet accepted or dropped',
  });
  const drops = meter.createObservableCounter('fdspan.drops', {
    unit: '{span}',
    description: 'Opens, records and spans that were dropped, by stage and reason',
  });
  const all = [...counters, ...gauges];
  const exporter = exporterAttributes(address);
  const observe = (result: BatchObservableResult): void => {
    const values = snapshot();
    const report = (to: Observable, name: string, attributes = {}): void => {
      if (values[name] !== undefined) result.observe(to, values[name], attributes);
    };
    for (const { instrument, counter: name } of all) report(instrument, name);
    report(exported, 'spans_accepted', exporter);
    for (const reason of EXPORT_DROPS) report(exported, reason, { ...exporter, 'error.type': reason });
    report(inflight, 'in_flight', exporter);
    for (const { stage, reason } of DROPS) {
      report(drops, reason, { 'fdspan.stage': stage, 'fdspan.reason': reason });
    }
  };
  meter.addBatchObservableCallback(observe, [...all.map((it) => it.instrument), exported, inflight, drops]);
  return createHistograms(meter, exporter);
}
