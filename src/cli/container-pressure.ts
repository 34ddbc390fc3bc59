// `telemetry.metrics.pressure` of a running collector: started where the host tells pressure, else one warning.
import type { Collector } from '../collector.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Pressure } from '../telemetry/pressure.ts';
import { version } from './command-io.ts';
import { telemetryTargets } from './telemetry-target.ts';

const HOST_PRESSURE = '/proc/pressure';

/** Returns null where it isn't asked for, or can't be had: the spans matter more. */
export async function startContainerPressure(
  config: Config,
  collector: Collector,
  log: Logger,
  environment: NodeJS.ProcessEnv,
): Promise<Pressure | null> {
  if (!config.telemetry.metrics.pressure) return null;
  const onError = (error: unknown): void => log.warn("the containers' pressure isn't taken", { error });
  const hierarchy = collector.scope.hierarchies.find(({ version }) => version === 'v2');
  if (hierarchy === undefined) {
    log.warn('no pressure metrics: no cgroup v2 hierarchy is watched, and only its groups have pressure', {
      cure: 'mount cgroup2 and set scope.by to auto, or set telemetry.metrics.pressure to false',
    });
    return null;
  }
  try {
    const { whyNoPressure } = await import('../telemetry/pressure-files.ts');
    const reason = await whyNoPressure(HOST_PRESSURE);
    if (reason !== null) {
      log.warn('no pressure metrics: this kernel has no pressure stall information', {
        reason,
        cure: 'boot a kernel built with CONFIG_PSI, with psi=1 on its command line; or set telemetry.metrics.pressure to false',
      });
      return null;
    }
    const { startPressure } = await import('../telemetry/pressure.ts');
    return await startPressure({
      target: telemetryTargets(config, environment).metrics,
      version: version(),
      mountPoint: hierarchy.mountPoint,
      containers: () => collector.pressed(),
      onError,
    });
  } catch (error) {
    onError(error);
    return null;
  }
}
