// What the start finds out, and loads, before the collector is made.
import { readFile } from 'node:fs/promises';
import { findHostNamespaces } from './bpf/host-namespace.ts';
import { Tracer } from './bpf/tracer.ts';
import { findHierarchies, layoutOf, type CgroupHierarchy } from './containers/cgroup-mounts.ts';
import { hostAttributes } from './containers/host.ts';
import type { HostNamespaces } from './containers/namespaces.ts';
import { chooseScope, type ScopeChoice } from './containers/scope-choice.ts';
import type { Config } from './config/config.ts';
import { kernelOptions } from './config/options.ts';
import { kernelFilters } from './kernel-filters.ts';
import type { Attributes } from './model/attributes.ts';
import { startPumpWorker, type PumpWorker } from './pump-thread.ts';

export interface Found {
  readonly tracer: Tracer;
  readonly pumpWorker: PumpWorker;
  readonly scope: ScopeChoice;
  readonly host: Attributes;
  readonly hierarchies: readonly CgroupHierarchy[];
  readonly hostNamespaces: HostNamespaces;
}

/** Looks at the host and loads the programs, while the pump's thread loads its code. Throws as Collector.start does. */
export async function findParts(config: Config): Promise<Found> {
  const hierarchies = findHierarchies(await readFile('/proc/self/mountinfo', 'latin1'));
  const scope = chooseScope(config.scope, hierarchies, layoutOf(hierarchies));
  const hostNamespaces = await findHostNamespaces(config.kernel.btf);
  const host = await hostAttributes();
  const options = await kernelOptions(config, scope, hostNamespaces, kernelFilters(config));
  const pumpWorker = startPumpWorker();
  const opening = Tracer.open(options);
  const tracer = await Promise.race([opening, pumpWorker.failed]).catch((error: unknown) => {
    void pumpWorker.worker.terminate();
    void opening.then((opened) => opened.close()).catch(() => {});
    throw error;
  });
  return { tracer, pumpWorker, scope, host, hierarchies, hostNamespaces };
}
