// SIGHUP: the configuration is read again. What can change in a running collector does; a wrong file is refused whole.
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { ConfigError } from '../config/problems.ts';
import type { Logger } from '../telemetry/log.ts';

/** Keys that take effect without a restart. */
export const RELOADABLE_KEYS: readonly string[] = [
  'containers.allow',
  'containers.deny',
  'containers.labels',
  'files.access',
  'files.exclude',
  'files.exclude_filesystems',
  'files.include',
  'files.redact',
  'files.redact_key',
  'files.types',
  'processes.exclude',
  'processes.users',
  'resource',
  'sampling.ratio',
  'sampling.rules',
  'sampling.keep',
  'sampling.slow_after',
  'sampling.target.container',
  'sampling.target.host',
  'sampling.limit.host',
  'spans.failed_opens',
  'spans.held.after',
  'spans.held.every',
  'spans.min_duration',
];

export interface Reload {
  readonly load: () => LoadedConfig;
  readonly apply: (config: Config) => Promise<void>;
  readonly log: Logger;
}

/** Makes what SIGHUP calls; one reload goes after the other. The running configuration stays when another can't be used. */
export function createReload(first: LoadedConfig, { load, apply, log }: Reload): () => void {
  let current = first;
  let running = Promise.resolve();
  const reload = async (): Promise<void> => {
    let next: LoadedConfig;
    try {
      next = load();
    } catch (error) {
      const problems = error instanceof ConfigError ? error.message : String(error);
      log.error('the new configuration is refused, the old one stays', { error: problems });
      return;
    }
    const changed = [...next.values].filter(
      ([key, value]) => !isDeepStrictEqual(value, current.values.get(key)),
    );
    const needsRestart = changed.map(([key]) => key).filter((key) => !RELOADABLE_KEYS.includes(key));
    if (needsRestart.length > 0) {
      log.warn('some changes of the configuration need a restart', { keys: needsRestart });
    }
    await apply(next.config);
    log.info('configuration reloaded', {
      changed: changed.map(([key]) => key).filter((key) => RELOADABLE_KEYS.includes(key)),
    });
    // What needs a restart is told again by the next reload: it still isn't in force.
    const values = new Map(next.values);
    for (const key of needsRestart) values.set(key, current.values.get(key));
    current = { ...next, values };
  };
  return () => {
    running = running.then(reload).catch((error: unknown) => log.error('reloading failed', { error }));
  };
}
