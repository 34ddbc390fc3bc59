// Where fdspan's own telemetry goes, as a collector with these settings finds it.
import { START_CHECKS } from '../../src/cli/stage-checks.ts';
import { telemetryTargets } from '../../src/cli/telemetry-target.ts';
import type { OtlpTargets } from '../../src/telemetry/otlp-target.ts';
import { load } from './config.ts';

export function targetsOf(set: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}): OtlpTargets {
  const sets = Object.entries(set).map(([key, value]) => `${key}=${value}`);
  return telemetryTargets(load('', { sets, env, checks: START_CHECKS }).config, env);
}
