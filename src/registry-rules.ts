// What users write of containers → what the registry judges them by.
import type { RegistryRules } from './containers/container-judge.ts';
import { compileGlob } from './containers/glob.ts';
import { compileRules } from './containers/rules.ts';
import type { Config } from './config/config.ts';
import { maskOf } from './sampling/compile-sampling.ts';

/** Compiles the rules of a configuration that was checked. */
export function rulesOf(config: Config): RegistryRules {
  const labels = config.containers.labels.map((glob) => compileGlob(glob, 'name'));
  const sampled = config.sampling.rules.map(({ container }) =>
    container === undefined ? null : compileRules([container], []),
  );
  return {
    samplingRulesOf: (facts) => maskOf(sampled.map((rule) => rule?.judge(facts).isAllowed ?? true)),
    rules: compileRules(config.containers.allow, config.containers.deny),
    extraAttributes: config.resource,
    isLabelWanted: (key) => labels.some((matches) => matches(key)),
  };
}
