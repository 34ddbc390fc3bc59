// What was counted for one container becomes OTLP metrics under the container's own resource, and is sent in turns.
// Import it dynamically: it loads the SDK. The semantic conventions have no names for it, so that all are fdspan's.
import { ValueType, type HrTime } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type DataPoint,
  type HistogramMetricData,
  type ResourceMetrics,
  type SumMetricData,
} from '@opentelemetry/sdk-metrics';
import {
  ACCESSES,
  DURATION_BOUNDS_S,
  DURATION_NS,
  DURATIONS,
  FAILURE_NAMES,
  FAILURES,
  OPENS,
  OTHER_FAILURE,
  type CountedContainer,
} from '../model/container-counts.ts';
import { createResourcesExporter } from './otlp-exporters.ts';
import type { OtlpTarget } from './otlp-target.ts';
import { startTurns, type Turns } from './resource-turns.ts';

export interface ContainerMetricsOptions {
  readonly target: OtlpTarget;
  readonly version: string;
  /** Called once a turn. */
  readonly containers: () => Promise<readonly CountedContainer[]>;
  /** Told of the first failed export only, and of what ends the turns. */
  readonly onError: (error: unknown) => void;
  readonly intervalMs: number;
}

/** Only grow. */
export interface ContainerMetricsCounts {
  container_metrics_sent: number;
  container_metrics_requests_failed: number;
}

export interface ContainerMetrics extends Turns<CountedContainer> {
  readonly counts: Readonly<ContainerMetricsCounts>;
}

/** Reason: an export must end before the next begins, and a hung backend holds one request only. */
const EXPORT_TIMEOUT_MS = 10_000;

function descriptor(name: string, unit: string, description: string, valueType = ValueType.INT) {
  return { name: `fdspan.${name}`, unit, description, valueType };
}

const OPENED = descriptor('file.opens', '{open}', 'Opens that succeeded, before filters and sampling');
const FAILED = descriptor('file.open.failures', '{open}', 'Opens that failed, whether told as spans or not');
const HELD = descriptor('files.open', '{file}', 'Files that are open now');
const LASTED = descriptor('file.open.duration', 's', 'Time from open to close', ValueType.DOUBLE);

function sum(of: SumMetricData['descriptor'], isMonotonic: boolean, dataPoints: DataPoint<number>[]) {
  return {
    descriptor: of,
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.SUM as const,
    isMonotonic,
    dataPoints,
  } satisfies SumMetricData;
}

function hrTime(unixMs: number): HrTime {
  return [Math.floor(unixMs / 1000), Math.round((unixMs % 1000) * 1e6)];
}

/** Builds the metrics of one container. Series that have counted nothing are left out. */
export function containerMetrics(
  { attributes, startUnixMs, counts, filesOpen }: CountedContainer,
  readUnixMs: number,
  version: string,
): ResourceMetrics {
  const times = { startTime: hrTime(startUnixMs), endTime: hrTime(readUnixMs) };
  const point = (key: string, name: string, value: number): DataPoint<number>[] =>
    value === 0 ? [] : [{ ...times, attributes: { [key]: name }, value }];
  const opens = ACCESSES.flatMap((name, index) => point('fdspan.access', name, counts[OPENS + index]));
  const failures = [OTHER_FAILURE, ...FAILURE_NAMES].flatMap((name, index) =>
    point('error.type', name, counts[FAILURES + index]),
  );
  const buckets = [...counts.subarray(DURATIONS, DURATIONS + DURATION_BOUNDS_S.length + 1)];
  const durations: HistogramMetricData = {
    descriptor: LASTED,
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: [
      {
        ...times,
        attributes: {},
        value: {
          buckets: { boundaries: [...DURATION_BOUNDS_S], counts: buckets },
          sum: counts[DURATION_NS] / 1e9,
          count: buckets.reduce((total, count) => total + count, 0),
        },
      },
    ],
  };
  return {
    resource: resourceFromAttributes(attributes),
    scopeMetrics: [
      {
        scope: { name: 'fdspan', version },
        metrics: [
          sum(OPENED, true, opens),
          sum(FAILED, true, failures),
          sum(HELD, false, [{ ...times, attributes: {}, value: filesOpen }]),
          durations,
        ].filter(({ dataPoints }) => dataPoints.length > 0),
      },
    ],
  };
}

/** Starts the first turn at once. Rejects only when the exporter refuses its settings. */
export async function startContainerMetrics(options: ContainerMetricsOptions): Promise<ContainerMetrics> {
  const timeoutMs = Math.min(options.target.timeoutMs, EXPORT_TIMEOUT_MS);
  const counts: ContainerMetricsCounts = { container_metrics_sent: 0, container_metrics_requests_failed: 0 };
  const turns = startTurns({
    exporter: await createResourcesExporter({ ...options.target, timeoutMs }),
    intervalMs: options.intervalMs,
    items: options.containers,
    // The last numbers of containers that ended are told once.
    isCutShort: false,
    metricsOf: (container) => containerMetrics(container, Date.now(), options.version),
    sent: (resources) => (counts.container_metrics_sent += resources),
    failed: () => (counts.container_metrics_requests_failed += 1),
    onError: options.onError,
  });
  return { ...turns, counts };
}
