// What the registry decides goes to the kernel's policy, to the pump, and to those who count and sample by container.
import type { RegistryListener } from './containers/registry-options.ts';
import type { PumpThread } from './pump-thread.ts';
import type { SamplingSide } from './sampling-side.ts';
import type { ScopeVerdicts } from './scope-verdicts.ts';
import type { Logger } from './telemetry/log.ts';
import type { TracedContainers } from './traced-containers.ts';

export interface RegistryListenerParts {
  readonly log: Logger;
  readonly sampling: SamplingSide;
  readonly traced: TracedContainers;
  readonly pump: Pick<PumpThread, 'send'>;
}

export function registryListener(parts: RegistryListenerParts, verdicts: ScopeVerdicts): RegistryListener {
  const { log, sampling, traced, pump } = parts;
  return {
    container: (update, attributes, samplingRules) => {
      sampling.container(update.slot, samplingRules);
      traced.changed(update.slot, attributes);
      pump.send({ type: 'container', update });
    },
    containerGone: (slot) => {
      traced.gone(slot);
      sampling.containerGone(slot);
      pump.send({ type: 'container-gone', slot });
    },
    containerReplaced: (slot) => traced.gone(slot),
    scope: (...verdict) => verdicts.tell(...verdict),
    scopeGone: (scope) => verdicts.gone(scope),
    containersFull: (max) =>
      log.warn('no room for another container; raise limits.containers', { containers: max }),
  };
}
