// What the watch over namespaces asks of the kernel, and where its verdicts go.
import type { Tracer } from './bpf/tracer.ts';
import type { NamespacesListener } from './containers/namespaces.ts';
import type { PolicyTable } from './containers/policy-table.ts';
import type { ContainerRegistry } from './containers/registry.ts';
import * as layout from './model/record-layout.ts';
import type { Logger } from './telemetry/log.ts';

export function namespacesListener(
  tracer: Tracer,
  policy: PolicyTable,
  registry: ContainerRegistry,
  log: Logger,
): NamespacesListener {
  return {
    found: (found) => registry.scopeFound(found),
    meetAgain: (scope) => void tracer.judge(scope, scope, layout.VERDICT_UNTOLD, false),
    gone: (scope) => {
      policy.removed(scope);
      registry.scopeRemoved(scope);
    },
    listAll: () => tracer.listNamespaces(),
    lookFailed: (error) => log.warn("namespaces that ended aren't forgotten now", { error }),
  };
}
