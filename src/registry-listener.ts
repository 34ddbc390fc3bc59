// What the registry decides goes to the kernel's policy, to the pump, and to those who count and sample by container.
import { kernelVerdict, type PolicyTable } from './containers/policy-table.ts';
import type { RegistryListener, RegistryVerdict } from './containers/registry-options.ts';
import { wordsOf, type ToPump } from './model/pump-messages.ts';
import type { SamplingSide } from './sampling-side.ts';
import type { Logger } from './telemetry/log.ts';
import type { TracedContainers } from './traced-containers.ts';

export interface RegistryListenerParts {
  readonly log: Logger;
  readonly sampling: SamplingSide;
  readonly traced: TracedContainers;
  readonly sendToPump: (message: ToPump) => void;
}

export function registryListener(parts: RegistryListenerParts, policy: PolicyTable): RegistryListener {
  const { log, sampling, traced, sendToPump } = parts;
  return {
    container: (update, attributes, samplingRules) => {
      sampling.container(update.slot, samplingRules);
      traced.changed(update.slot, attributes);
      sendToPump({ type: 'container', update });
    },
    containerGone: (slot) => {
      traced.gone(slot);
      sampling.containerGone(slot);
      sendToPump({ type: 'container-gone', slot });
    },
    containerReplaced: (slot) => traced.gone(slot),
    scope: (scope, verdict, slot, container) => tell(parts, policy, { scope, verdict, slot, container }),
    scopeGone: (scope) => {
      policy.forget(scope);
      traced.judged(scope, 'deny');
      sendToPump({ type: 'scope-gone', ...wordsOf(scope) });
    },
    containersFull: (max) =>
      log.warn('no room for another container; raise limits.containers', { containers: max }),
  };
}

interface Told {
  readonly scope: bigint;
  readonly verdict: RegistryVerdict;
  readonly slot: number;
  readonly container: bigint;
}

/** The kernel first: a group made inside of it meanwhile then inherits. */
function tell(
  { log, traced, sendToPump }: RegistryListenerParts,
  policy: PolicyTable,
  { scope, verdict, slot, container }: Told,
): void {
  if (!policy.tell(scope, container, kernelVerdict(verdict, slot), verdict === 'ignore'))
    log.warn('the policy table is full: a container is not traced', { scope: String(scope) });
  if (verdict === 'unjudged') return;
  if (verdict === 'deny' && slot !== 0) traced.gone(slot);
  traced.judged(scope, verdict, slot);
  sendToPump({
    type: 'scope',
    verdict: { ...wordsOf(scope), verdict: verdict === 'trace' ? 'trace' : 'ignore', slot },
  });
}
