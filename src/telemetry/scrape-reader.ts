// The reader of fdspan's own metrics for Prometheus: collects when asked, and writes Prometheus text.
// Import it dynamically: it loads the SDK.
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MetricReader } from '@opentelemetry/sdk-metrics';

export class ScrapeReader extends MetricReader {
  /** No label for the scope: it is always the same. */
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, false, true);

  /** Returns all metrics as text. Rejects with the first error of a collection. */
  async text(): Promise<string> {
    const { resourceMetrics, errors } = await this.collect();
    if (errors.length > 0) throw new Error('collecting metrics', { cause: errors[0] });
    return this.#serializer.serialize(resourceMetrics);
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}
