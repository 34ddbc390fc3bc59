// How often metrics are sent: OTEL_METRIC_EXPORT_INTERVAL of the SDK's specification.

/** The specification's default. */
const EXPORT_INTERVAL_MS = 60_000;

export function metricIntervalMs(environment: Readonly<Record<string, string | undefined>>): number {
  const asked = Number(environment.OTEL_METRIC_EXPORT_INTERVAL);
  return Number.isFinite(asked) && asked > 0 ? asked : EXPORT_INTERVAL_MS;
}
