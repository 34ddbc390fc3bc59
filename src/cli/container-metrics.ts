// `telemetry.metrics.containers` of a running collector.
import type { Collector } from '../collector.ts';
import type { Config } from '../config/config.ts';
import type { ContainerMetrics } from '../telemetry/container-metrics.ts';
import { metricIntervalMs } from '../telemetry/metric-interval.ts';
import type { Logger } from '../telemetry/log.ts';
import { version } from './command-io.ts';
import { telemetryTargets } from './telemetry-target.ts';

/** Returns null where it isn't asked for, or can't be sent: the spans matter more. */
export async function startCountedContainers(
  config: Config,
  collector: Collector,
  log: Logger,
  environment: NodeJS.ProcessEnv,
): Promise<ContainerMetrics | null> {
  if (!config.telemetry.metrics.containers) return null;
  const onError = (error: unknown): void => log.warn("the containers' metrics aren't taken", { error });
  try {
    const { startContainerMetrics } = await import('../telemetry/container-metrics.ts');
    return await startContainerMetrics({
      target: telemetryTargets(config, environment).metrics,
      version: version(),
      containers: () => collector.counted(),
      onError,
      intervalMs: metricIntervalMs(environment),
    });
  } catch (error) {
    onError(error);
    return null;
  }
}
