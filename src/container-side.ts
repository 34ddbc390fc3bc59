// The containers' side of the collector: what the kernel and the runtimes tell goes to the registry, and what the
// registry decides goes to the kernel's policy and to the pump. On the main thread.
import type { Tracer } from './bpf/tracer.ts';
import { isThere } from './containers/is-there.ts';
import { BARE_STATE_FOLDERS, bareContainerOf } from './containers/bare-containers.ts';
import type { FindMetadata } from './containers/container-judge.ts';
import type { CgroupHierarchy } from './containers/cgroup-mounts.ts';
import type { FoundScope } from './containers/found-scope.ts';
import { LostScopes } from './containers/lost-scopes.ts';
import { Namespaces, type HostNamespaces } from './containers/namespaces.ts';
import { PolicyTable } from './containers/policy-table.ts';
import { RecentStates } from './containers/recent-states.ts';
import { ContainerRegistry } from './containers/registry.ts';
import type { RegistryNeeds } from './containers/registry-options.ts';
import { RuntimeDirectory } from './containers/runtime-directory.ts';
import type { RuntimeSettings } from './containers/runtime-sources.ts';
import type { ScopeChoice } from './containers/scope-choice.ts';
import { cgroupVersionOfScope } from './containers/scope.ts';
import { ScopeRecordQueue } from './containers/scope-record-queue.ts';
import { decodeScopeRecord } from './containers/scope-records.ts';
import { TreeScans } from './containers/tree-scans.ts';
import type { Config } from './config/config.ts';
import { runtimeSettings } from './config/options.ts';
import { encodeResource } from './encode/resource.ts';
import { atMost } from './model/at-most.ts';
import type { Attributes } from './model/attributes.ts';
import type { PumpThread } from './pump-thread.ts';
import { directoryListener } from './directory-listener.ts';
import { namespacesListener } from './namespaces-listener.ts';
import type { SamplingSide } from './sampling-side.ts';
import { registryListener } from './registry-listener.ts';
import { rulesOf } from './registry-rules.ts';
import { ScopeVerdicts } from './scope-verdicts.ts';
import type { TracedContainers } from './traced-containers.ts';
import type { Logger } from './telemetry/log.ts';

/** Reason: a start takes 1 s at most; containers whose runtime is slower are traced, and judged when it answers. */
const START_WAIT_MS = 400;
/** Reason: an answer that was asked for in time may come a little later. */
const RELOAD_MARGIN_MS = 2000;

export interface ContainerSideParts {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly scope: ScopeChoice;
  readonly tracer: Tracer;
  /** All that are mounted. */
  readonly hierarchies: readonly CgroupHierarchy[];
  readonly hostNamespaces: HostNamespaces;
  readonly hostAttributes: Attributes;
  readonly pump: Pick<PumpThread, 'send' | 'scopeRecordTaken' | 'scopeRecordsLost'>;
  readonly sampling: SamplingSide;
  readonly traced: TracedContainers;
}

export class ContainerSide {
  readonly #parts: ContainerSideParts;
  readonly #registry: ContainerRegistry;
  readonly #directory: RuntimeDirectory;
  /** null where control groups are the scopes. */
  readonly #namespaces: Namespaces | null;
  readonly #policy: PolicyTable;
  readonly #recentStates = new RecentStates(BARE_STATE_FOLDERS);
  readonly #lost: LostScopes;
  readonly #scans: TreeScans;
  readonly #verdicts: ScopeVerdicts;
  #isClosed = false;
  readonly #records = new ScopeRecordQueue((record) => this.#takeOne(record));
  readonly #answers = new Set<Promise<void>>();

  constructor(parts: ContainerSideParts) {
    const { config, log, traced } = parts;
    const sendToPump: PumpThread['send'] = (message) => parts.pump.send(message);
    const settings = runtimeSettings(config);
    this.#parts = parts;
    this.#policy = new PolicyTable(parts.tracer, parts.scope.by !== 'cgroup');
    const isHostTraced = config.scope.host;
    this.#verdicts = new ScopeVerdicts({ isHostTraced, policy: this.#policy, traced, sendToPump, log });
    this.#scans = new TreeScans({
      hierarchies: parts.scope.hierarchies,
      // To judge all groups of the host anew would make each look dear.
      found: (found, mayDecideAnew) => {
        if (mayDecideAnew || !this.#policy.isIgnored(found.scope)) this.#groupFound(found);
      },
      leftOut: (groups) => log.warn('more control groups than are scanned', { left_out: groups }),
    });
    this.#lost = this.#makeLost();
    this.#directory = this.#makeDirectory(settings);
    const proofs = {
      findMetadata: ((...question) => this.#directory.find(...question)) satisfies FindMetadata,
      bareContainerOf: (path: string) =>
        bareContainerOf(path, (place) => isThere(place) || this.#recentStates.has(place)),
      // 'auto' looks in the usual places, where its state folder is the proof.
      isContainerdNamed: settings.containerd !== 'auto' && settings.containerd.length > 0,
    };
    this.#registry = new ContainerRegistry({
      ...rulesOf(config),
      containersMax: config.limits.containers,
      keepAfterExitMs: config.containers.keepAfterExitMs,
      waitsForDescription: !config.containers.runtimePhase,
      hostAttributes: parts.hostAttributes,
      distroVersion: parts.version,
      encodeResource,
      noPlaceVerdict: config.scope.host ? 'deny' : 'ignore',
      isRuntimePaused: (runtime) => this.#directory.isPaused(runtime),
      ...proofs,
      listener: registryListener(parts, this.#verdicts),
    });
    this.#namespaces =
      parts.scope.by === 'cgroup'
        ? null
        : new Namespaces({
            ...parts,
            cgroup1Controller: parts.scope.cgroup1Controller,
            proofs,
            listener: namespacesListener(parts.tracer, this.#policy, this.#registry, log),
          });
  }

  #makeLost(): LostScopes {
    const { log, tracer } = this.#parts;
    return new LostScopes({
      policy: this.#policy,
      scans: this.#scans,
      isKnown: (scope) => this.#registry.verdictOf(scope) !== undefined,
      removed: (scope) => this.#scopeRemoved(scope),
      ignored: (scope) => this.#verdicts.answerNoContainer(scope),
      describe: () => tracer.describeTasks(),
      failed: (error) => log.warn("control groups can't be read", { error }),
    });
  }

  #makeDirectory(settings: RuntimeSettings): RuntimeDirectory {
    const { config, log } = this.#parts;
    return new RuntimeDirectory({
      settings,
      waitMs: config.limits.metadataWaitMs,
      listener: directoryListener(
        {
          changed: (metadata) => this.#registry.metadataChanged(metadata),
          sourceIsBack: () => this.#registry.sourceIsBack(),
        },
        log,
      ),
    });
  }

  /** Finds the runtimes and the containers that run; those that answer soon are judged when it resolves. */
  async begin(): Promise<void> {
    await this.#directory.discover();
    await this.#scans.scan();
    await this.settled(START_WAIT_MS);
  }

  /** Resolves when every known container is judged, or the time is over. */
  async settled(deadlineMs: number): Promise<void> {
    await atMost(deadlineMs, this.#registry.settled());
  }

  list(): ReturnType<ContainerRegistry['list']> {
    return this.#registry.list();
  }

  /** The traced containers that run in a v2 group of their own, with their resource. */
  withResources(): { readonly cgroupPath: string; readonly attributes: Attributes }[] {
    return this.list().flatMap(({ slot, isRunning, cgroupVersion, cgroupPath }) => {
      const attributes = this.#parts.traced.attributesOf(slot);
      return attributes !== undefined && isRunning && cgroupVersion === 'v2'
        ? [{ cgroupPath, attributes }]
        : [];
    });
  }

  /** Counts of what found no place or no answer; they only grow. */
  get counts(): Readonly<Record<string, number>> {
    return { ...this.#registry.counts, ...this.#directory.counts };
  }

  /** Once a second: forgets what is gone for long, and makes up for records of groups that were lost. */
  tick(): void {
    const now = performance.now();
    this.#makeUp(this.#registry.tick(now)).catch((error: unknown) =>
      this.#parts.log.warn("control groups can't be looked through again", { error }),
    );
    this.#namespaces?.tick(now);
    this.#recentStates.watchNew();
    const { tracer, pump } = this.#parts;
    const recordsLost = tracer.counters.read()['scope_records_lost'] + pump.scopeRecordsLost;
    this.#lost.tick(recordsLost, this.#namespaces === null);
  }

  /** What is traced from now on, and was ignored or denied before, was never described. */
  async #makeUp({ look, description }: RegistryNeeds): Promise<void> {
    if (look && this.#namespaces === null) {
      await this.#scans.scan();
      await this.settled(this.#parts.config.limits.metadataWaitMs + RELOAD_MARGIN_MS);
    }
    if ((look || description) && !this.#isClosed) await this.#parts.tracer.describeTasks();
  }

  /** Judges all containers by the rules of another configuration; resolves when each has its verdict. */
  async reload(config: Config): Promise<void> {
    this.#registry.reload(rulesOf(config));
    await this.settled(config.limits.metadataWaitMs + RELOAD_MARGIN_MS);
    // A container that was denied was never described, and what isn't described counts as its runtime.
    await this.#parts.tracer.describeTasks();
  }

  /** Judges what still waits, within the time; nothing is asked after it. */
  async finish(waitMs: number): Promise<void> {
    await this.#records.taken();
    await this.#namespaces?.settle();
    this.#scans.endPauses();
    await this.answered(waitMs);
    await this.settled(waitMs);
    this.close();
  }

  /** The kernel's side may be gone from now on. */
  close(): void {
    this.#isClosed = true;
    this.#recentStates.close();
    this.#directory.close();
  }

  /** Takes a record of the kernel about a scope, as {@link ScopeRecordQueue} says. */
  takeRecord(bytes: Uint8Array): void {
    this.#records.add(bytes);
  }

  #takeOne(bytes: Uint8Array): void {
    this.#parts.pump.scopeRecordTaken();
    const record = decodeScopeRecord(bytes);
    if (record === null) return;
    if (record.type === 'created') {
      const version = cgroupVersionOfScope(record.scope);
      if (version === null) return;
      this.#policy.hold(record.scope);
      this.#groupFound({ ...record, version });
    } else if (record.type === 'described') {
      this.#registry.scopeDescribed(record);
    } else if (record.type === 'met') {
      this.#policy.hold(record.scope);
      this.#namespaces?.met(record);
    } else if (this.#namespaces === null) {
      this.#scopeRemoved(record.scope);
    } else {
      this.#policy.forget(record.scope);
      this.#namespaces.groups.remove(record.scope);
    }
  }

  /** The pump has records of a scope that it knows nothing of: ignored ones, those whose record was lost, or on the way. */
  scopeUnknown(scope: bigint): Promise<void> {
    const answer: Promise<void> = this.#answer(scope).finally(() => this.#answers.delete(answer));
    this.#answers.add(answer);
    return answer;
  }

  /** Resolves when the pump has an answer to all that it asked, or the time is over. */
  async answered(waitMs: number): Promise<void> {
    await atMost(waitMs, Promise.allSettled(this.#answers));
  }

  async #answer(scope: bigint): Promise<void> {
    await this.#records.taken();
    const verdict = this.#registry.verdictOf(scope);
    if (verdict === 'deny') return this.#verdicts.answerDenied(scope);
    if (verdict !== undefined) return;
    if (this.#policy.ignoresForGood(scope)) return this.#verdicts.answerNoContainer(scope);
    if (this.#namespaces === null) return this.#lost.unknown(scope);
    // The kernel has it, as a record came.
    this.#policy.hold(scope);
    this.#namespaces.unknown(scope);
  }

  #scopeRemoved(scope: bigint): void {
    this.#scans.removed(scope);
    this.#lost.forget(scope);
    this.#policy.removed(scope);
    this.#registry.scopeRemoved(scope);
  }

  /** Where namespaces are the scopes, groups only name their containers. */
  #groupFound(found: FoundScope): void {
    if (this.#isClosed) return;
    if (this.#namespaces === null) this.#registry.scopeFound(found);
    else this.#namespaces.groups.add(found.scope, found.path);
  }
}
