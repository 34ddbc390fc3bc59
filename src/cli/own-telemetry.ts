// fdspan's telemetry of itself as `fdspan run` composes it: its metrics by OTLP and for Prometheus, and its health.
import { bootNs } from '../bpf/libc.ts';
import type { Collector } from '../collector.ts';
import type { Config } from '../config/config.ts';
import type { ExportObserver } from '../model/export-observer.ts';
import { Health } from '../telemetry/health.ts';
import { HealthServer } from '../telemetry/health-server.ts';
import type { MetricsSnapshot } from '../telemetry/instruments.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { version } from './command-io.ts';
import { telemetryTargets } from './telemetry-target.ts';

const NS_PER_MS = 1e6;

/** What is there before the collector, so that a probe gets an answer while it starts. */
export interface HealthPort {
  readonly health: Health;
  readonly server: HealthServer | null;
}

/** Without its port the collector goes on: spans matter more than who asks for its health. */
export async function openHealthPort(config: Config, log: Logger): Promise<HealthPort> {
  const address = config.telemetry.metrics.prometheus;
  const health = new Health();
  if (address === null) return { health, server: null };
  try {
    const onWarning = (message: string, error: unknown): void => log.warn(message, { error });
    const server = await HealthServer.listen({ ...address, health, onWarning });
    log.info('metrics and health are served', { address: server.address });
    return { health, server };
  } catch (error) {
    log.warn('no metrics and no health over HTTP', {
      ...address,
      error: (error as Error).message,
      cure: 'set telemetry.metrics.prometheus to an address of this host and a free port, or to null',
    });
    return { health, server: null };
  }
}

/** From now on the collector's state is what is told. */
export function watchHealth({ health }: HealthPort, collector: Collector): void {
  health.watch({
    get pumpTurnedMs() {
      return collector.pumped.pump_turned_ms;
    },
    get isAttached() {
      return collector.isAttached;
    },
  });
}

export interface OwnTelemetryStart {
  readonly config: Config;
  readonly log: Logger;
  readonly environment: NodeJS.ProcessEnv;
  readonly collector: Collector;
  readonly port: HealthPort;
  readonly beganUnixMs: number;
  readonly attachMode: string;
  /** Counts of what isn't the collector's. */
  readonly others: () => Readonly<Record<string, number>>;
  /** Takes who is told of each send. */
  readonly observe: (observer: ExportObserver) => void;
}

/** Starts the metrics that the configuration asks for; null: none, or they can't be had. */
export async function startOwnTelemetry(start: OwnTelemetryStart): Promise<Metrics | null> {
  const { config, collector, log, port, environment, others } = start;
  const { otlp } = config.telemetry.metrics;
  if (!otlp && port.server === null) return null;
  const onError = (error: unknown): void => log.warn("fdspan's own telemetry isn't taken", { error });
  try {
    const { startMetrics } = await import('../telemetry/metrics.ts');
    const metrics = await startMetrics({
      targets: telemetryTargets(config, environment),
      sendsOtlp: otlp,
      isScraped: port.server !== null,
      environment,
      version: version(),
      hostAttributes: collector.hostAttributes,
      snapshot: () => ({ ...snapshotOf(config, collector), ...others(), ...port.server?.counts }),
      start: {
        beganUnixMs: start.beganUnixMs,
        attachedUnixMs: Date.now(),
        attributes: { 'fdspan.attach.mode': start.attachMode },
      },
      onError,
    });
    if (metrics.text !== null) port.server?.serveMetrics(metrics.text);
    start.observe(({ durationMs, kind, closedBootMs }) => {
      metrics.sent(durationMs / 1000, kind);
      const isTaken = kind === 'success' || kind === 'partial';
      if (isTaken && closedBootMs > 0) metrics.accepted((Number(bootNs()) / NS_PER_MS - closedBootMs) / 1000);
    });
    return metrics;
  } catch (error) {
    onError(error);
    return null;
  }
}

function snapshotOf({ limits, export: { queue } }: Config, collector: Collector): MetricsSnapshot {
  const { isAttached } = collector;
  return {
    ...collector.counters(),
    ring_fill_bytes: collector.pumped.ring_fill_bytes,
    ring_bytes: limits.ring,
    queue_bytes: collector.waiting.queuedBytes,
    queue_bytes_max: queue.bytesMax,
    ...spoolOf(collector),
    containers: collector.containers().length,
    memory_bytes: process.memoryUsage.rss(),
    ...(isAttached === null ? {} : { probe_attached: Number(isAttached) }),
  };
}

/** A limit of 0 is none: there is nothing to compare with. */
function spoolOf({ waiting: { spool } }: Collector): MetricsSnapshot {
  if (spool === null) return {};
  const { bytes: spool_bytes, bytesMax } = spool;
  return bytesMax === 0 ? { spool_bytes } : { spool_bytes, spool_bytes_max: bytesMax };
}
