// What the pressure of one container becomes: OTLP metrics under the container's own resource. The semantic
// conventions have no names for it yet, so that all are fdspan's.
import { ValueType, type Attributes, type HrTime } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type DataPoint,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import type { PressureLine } from './pressure-files.ts';

const WINDOWS = ['10s', '60s', '300s'] as const;
/** OTLP's word for "not known": the kernel counts from the group's making, which it doesn't tell. */
const UNKNOWN_START: HrTime = [0, 0];

function descriptor(name: string, unit: string, description: string) {
  return { name: `fdspan.container.pressure.${name}`, unit, description, valueType: ValueType.DOUBLE };
}

const STALLED_TIME = descriptor(
  'stalled_time',
  's',
  'Time that tasks of the container waited for a resource',
);
const SHARE = descriptor(
  'share',
  '1',
  'Share of the last time that tasks of the container waited for a resource',
);

/** Builds the metrics of one container; `readUnixMs` is when its files were read. */
export function pressureMetrics(
  attributes: Attributes,
  lines: readonly PressureLine[],
  readUnixMs: number,
  version: string,
): ResourceMetrics {
  const endTime: HrTime = [Math.floor(readUnixMs / 1000), Math.round((readUnixMs % 1000) * 1e6)];
  const times = { startTime: UNKNOWN_START, endTime };
  const totals: DataPoint<number>[] = [];
  const shares: DataPoint<number>[] = [];
  for (const { resource, kind, shares: values, stalledSeconds } of lines) {
    const of = { 'fdspan.pressure.resource': resource, 'fdspan.pressure.kind': kind };
    totals.push({ ...times, attributes: of, value: stalledSeconds });
    values.forEach((value, index) => {
      const attributes = { ...of, 'fdspan.pressure.window': WINDOWS[index] };
      shares.push({ ...times, attributes, value });
    });
  }
  const aggregationTemporality = AggregationTemporality.CUMULATIVE;
  return {
    resource: resourceFromAttributes(attributes),
    scopeMetrics: [
      {
        scope: { name: 'fdspan', version },
        metrics: [
          {
            descriptor: STALLED_TIME,
            aggregationTemporality,
            dataPointType: DataPointType.SUM,
            isMonotonic: true,
            dataPoints: totals,
          },
          {
            descriptor: SHARE,
            aggregationTemporality,
            dataPointType: DataPointType.GAUGE,
            dataPoints: shares,
          },
        ],
      },
    ],
  };
}
