// Where a verdict on a scope goes: the kernel's policy first, so that a group made inside of it meanwhile inherits, then
// the pump. What belongs to no container is the host's, where that is traced, else ignored. On the main thread.
import type { PolicyTable } from './containers/policy-table.ts';
import type { RegistryVerdict } from './containers/registry-options.ts';
import { HOST_SLOT, type ScopeVerdict } from './model/container-slot.ts';
import { wordsOf, type ToPump } from './model/pump-messages.ts';
import type { TracedContainers } from './traced-containers.ts';
import type { Logger } from './telemetry/log.ts';

export interface ScopeVerdictsParts {
  readonly isHostTraced: boolean;
  readonly policy: PolicyTable;
  readonly traced: TracedContainers;
  readonly sendToPump: (message: ToPump) => void;
  readonly log: Logger;
}

export class ScopeVerdicts {
  readonly #parts: ScopeVerdictsParts;

  constructor(parts: ScopeVerdictsParts) {
    this.#parts = parts;
  }

  /** Tells what the registry decided; see {@link RegistryListener.scope}. */
  tell(scope: bigint, verdict: RegistryVerdict, slot: number, container: bigint): void {
    const { policy, traced, log } = this.#parts;
    const isHeard = policy.isHeard(scope);
    if (!policy.tell(scope, container, verdict, slot))
      log.warn('the policy table is full: a container is not traced', { scope: String(scope) });
    if (verdict === 'unjudged') return;
    if (verdict === 'ignore') {
      if (isHeard) this.answerNoContainer(scope);
      return;
    }
    if (verdict === 'deny' && slot !== HOST_SLOT) traced.gone(slot);
    traced.judged(scope, verdict, slot);
    this.#send(scope, verdict === 'trace' ? 'trace' : 'ignore', slot);
  }

  /** Tells the pump that a scope is no container's. */
  answerNoContainer(scope: bigint): void {
    this.#parts.traced.judged(scope, 'ignore');
    this.#send(scope, this.#parts.isHostTraced ? 'host' : 'ignore', HOST_SLOT);
  }

  /** Tells the pump that a scope is that of a container which isn't traced. */
  answerDenied(scope: bigint): void {
    this.#send(scope, 'ignore', HOST_SLOT);
  }

  /** Nothing will be told of the scope any more. What nobody ever judged is no container's. */
  gone(scope: bigint): void {
    this.#parts.policy.forget(scope);
    this.#parts.traced.judged(scope, 'ignore');
    this.#parts.sendToPump({ type: 'scope-gone', ...wordsOf(scope) });
  }

  #send(scope: bigint, verdict: ScopeVerdict['verdict'], slot: number): void {
    this.#parts.sendToPump({ type: 'scope', verdict: { ...wordsOf(scope), verdict, slot } });
  }
}
