// An exporter of the SDK takes its headers and TLS files once: here it is made anew when they change, and what it was
// sending is ended in order.
import * as http from 'node:http';
import * as https from 'node:https';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { OtlpTarget, TlsFiles } from './otlp-target.ts';

/** The SDK's ExportResult, whose type no package of ours exports. */
export interface ExportResult {
  readonly code: number;
  readonly error?: Error;
}

/** ExportResultCode of the SDK. */
export const EXPORT_SUCCEEDED = 0;
const EXPORT_FAILED = 1;

/** Reason: an exporter sends once an interval; more wait only where the credentials' files hang. Overflow: the export fails. */
const EXPORTS_MAX = 8;

export interface Exporter<Items> {
  export(items: Items, done: (result: ExportResult) => void): void;
  shutdown(): Promise<void>;
}

/** What an exporter is made of. */
export interface Settings {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
  /** For http/protobuf. */
  readonly agent: http.Agent;
}

export type Make<Items, Made extends Exporter<Items>> = (settings: Settings) => Made;

export class RenewedExporter<Items, Made extends Exporter<Items> = Exporter<Items>> {
  protected current: Made;
  readonly #target: OtlpTarget;
  readonly #make: Make<Items, Made>;
  readonly #exports = new Set<Promise<void>>();
  #agent: http.Agent;
  /** What the current one was made of; null: of nothing yet. */
  #headers: string | null = null;
  #tls: TlsFiles = {};

  /** The first one is asked for preferences only. */
  constructor(target: OtlpTarget, make: Make<Items, Made>) {
    this.#target = target;
    this.#make = make;
    this.#agent = new http.Agent();
    this.current = make({ headers: {}, tls: {}, agent: this.#agent });
  }

  export(items: Items, done: (result: ExportResult) => void): void {
    if (this.#exports.size >= EXPORTS_MAX) {
      done(failed(new Error(`${EXPORTS_MAX} exports wait already`)));
      return;
    }
    const ended = this.#export(items)
      .then(done)
      .catch(() => {});
    this.#exports.add(ended);
    void ended.finally(() => this.#exports.delete(ended));
  }

  async forceFlush(): Promise<void> {
    await Promise.all(this.#exports);
  }

  async shutdown(): Promise<void> {
    await this.forceFlush();
    await this.#end(this.current, this.#agent);
  }

  async #export(items: Items): Promise<ExportResult> {
    try {
      await this.#renew();
      const { current } = this;
      return await new Promise((resolve) => current.export(items, resolve));
    } catch (error) {
      return failed(error as Error);
    }
  }

  async #renew(): Promise<void> {
    const { url } = this.#target;
    const [headers, tls] = await Promise.all([
      this.#target.headers(),
      url.protocol === 'https:' ? this.#target.tls() : this.#tls,
    ]);
    const text = JSON.stringify(headers);
    if (text === this.#headers && tls === this.#tls) return;
    const agent = agentOf(this.#target, tls);
    // Throws where a key isn't its certificate's, as between the replacing of the one and of the other.
    const made = this.#make({ headers, tls, agent });
    void this.#end(this.current, this.#agent);
    this.current = made;
    this.#agent = agent;
    this.#headers = text;
    this.#tls = tls;
  }

  async #end(exporter: Made, agent: http.Agent): Promise<void> {
    await exporter.shutdown().catch(() => {});
    agent.destroy();
  }
}

/** As the SDK's own are: with preferences. */
export type MetricExporter = PushMetricExporter &
  Required<Pick<PushMetricExporter, 'selectAggregation' | 'selectAggregationTemporality'>>;

/** The preferences are those of the variables that the SDK's exporter reads. */
export class RenewedMetricExporter
  extends RenewedExporter<ResourceMetrics, MetricExporter>
  implements MetricExporter
{
  selectAggregation: MetricExporter['selectAggregation'] = (type) => this.current.selectAggregation(type);

  selectAggregationTemporality: MetricExporter['selectAggregationTemporality'] = (type) =>
    this.current.selectAggregationTemporality(type);
}

function agentOf({ url }: OtlpTarget, tls: TlsFiles): http.Agent {
  const options = { keepAlive: true };
  return url.protocol === 'https:' ? new https.Agent({ ...options, ...tls }) : new http.Agent(options);
}

function failed(error: Error): ExportResult {
  return { code: EXPORT_FAILED, error };
}
