// The instruments of fdspan's own metrics, all observable: one call of `snapshot` per export feeds them.
import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api';
import { DROPS, EXPORT_DROPS } from './summary.ts';

/** Counters and amounts by name; a missing one isn't reported. */
export type MetricsSnapshot = Readonly<Record<string, number>>;

export interface ExporterAddress {
  readonly protocol: 'grpc' | 'http/protobuf';
  readonly endpoint: string;
}

interface Instrument {
  readonly counter: string;
  readonly name: string;
  readonly unit: string;
  readonly description: string;
}

const COUNTERS: readonly Instrument[] = [
  counter('opens_in_scope', '{open}', 'Opens by tasks in a traced scope'),
  counter('opens_tracked', '{open}', 'Opens that the pending table took'),
  counter('pairs_finished', '{pair}', 'Opens whose end was seen'),
  counter('pairs_lost', '{pair}', 'Pairs whose close was missed'),
  counter('records_read', '{record}', 'Records read from the ring'),
  counter('spans_encoded', '{span}', 'Spans encoded'),
  counter('held_spans_accepted', '{span}', 'Reports of files that are still open, accepted by the backend'),
  counter(
    'held_spans_dropped',
    '{span}',
    'Reports of files that are still open, dropped on the way to the backend',
  ),
  counter('held_ring_full', '{record}', 'Reports that the ring had no place for; made again later'),
  counter('open_times_left_out', '{file}', 'Open files that the state file had no place for'),
  counter('bytes_encoded', 'By', 'Request bytes encoded, before compression'),
  counter('bytes_sent', 'By', 'Request bytes sent'),
  counter('requests_sent', '{request}', 'Requests sent'),
  counter('requests_retried', '{request}', 'Requests sent again'),
  counter('unseen_io_uring', '{open}', 'Opens by io_uring, which this attach mode cannot pair'),
  counter('unseen_compat', '{open}', 'Opens by 32-bit calls, which cannot be paired'),
  counter('unseen_race', '{open}', 'Opens lost to a race'),
  counter('containers_full', '{container}', 'Containers that were not traced: no place for another one'),
  counter('scopes_full', '{group}', 'Control groups that were not traced: no place for another one'),
  counter('scope_table_full', '{group}', "Control groups that the kernel's policy table had no place for"),
  counter('scope_records_lost', '{record}', 'Records about control groups that the ring had no place for'),
  counter('runtime_lookups_failed', '{lookup}', 'Questions to container runtimes that failed'),
  counter(
    'runtime_lookups_held',
    '{lookup}',
    "Look-ups that waited because their user's groups had enough places",
  ),
  counter(
    'runtime_users_left_out',
    '{user}',
    'Users whose container runtimes were not looked for: the most at once',
  ),
  counter('runtime_events_skipped', '{event}', 'Events of container runtimes that could not be used'),
  counter('metrics_missed', '{event}', 'Opens and ends that no container was counted for'),
  counter('metrics_containers_lost', '{container}', 'Containers whose last metrics found no place'),
  counter('container_metrics_sent', '{resource}', 'Containers whose metrics were sent, each turn'),
  counter('container_metrics_requests_failed', '{request}', "Requests with containers' metrics that failed"),
  counter('pressure_resources_sent', '{resource}', 'Containers whose pressure was sent, each turn'),
  counter('pressure_files_unreadable', '{file}', 'Pressure files that could not be read'),
  counter('pressure_requests_failed', '{request}', 'Requests with pressure that failed'),
];

const GAUGES: readonly Instrument[] = [
  gauge('still_open', 'still_open', '{open}', 'Tracked opens that have not ended'),
  gauge('waiting', 'waiting', '{record}', 'Records that wait for their container'),
  gauge('queue_bytes', 'queue.size', 'By', 'Bytes of the requests that wait for the backend'),
  gauge('ring_fill_bytes', 'ring.fill', 'By', 'Bytes in the ring at the last drain'),
  gauge('probe_attached', 'probe.attached', '1', 'Whether the programs see an open and a close now: 1 or 0'),
  gauge('containers', 'containers', '{container}', 'Containers that are traced'),
];

function counter(name: string, unit: string, description: string): Instrument {
  return { counter: name, name: `fdspan.${name}`, unit, description };
}

function gauge(name: string, metric: string, unit: string, description: string): Instrument {
  return { counter: name, name: `fdspan.${metric}`, unit, description };
}

/** Attributes of otel.sdk.exporter.*: component and server, as the semantic conventions ask. */
function exporterAttributes({ protocol, endpoint }: ExporterAddress): Record<string, string | number> {
  const type = protocol === 'grpc' ? 'otlp_grpc_span_exporter' : 'otlp_http_span_exporter';
  const attributes: Record<string, string | number> = {
    'otel.component.type': type,
    'otel.component.name': `fdspan/${type}/0`,
  };
  if (!URL.canParse(endpoint)) return attributes;
  const { hostname, port } = new URL(endpoint);
  attributes['server.address'] = hostname;
  if (port !== '') attributes['server.port'] = Number(port);
  return attributes;
}

/** Creates the instruments and their one callback. */
export function registerInstruments(
  meter: Meter,
  snapshot: () => MetricsSnapshot,
  address: ExporterAddress,
): void {
  const counters = COUNTERS.map((it) => ({ ...it, instrument: meter.createObservableCounter(it.name, it) }));
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
}
