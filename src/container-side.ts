// The containers' side of the collector: what the kernel and the runtimes tell goes to the registry, and what the
// registry decides goes to the kernel's policy and to the pump. On the main thread.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tracer } from './bpf/tracer.ts';
import { scanTree } from './containers/cgroup-tree.ts';
import { compileGlob } from './containers/glob.ts';
import type { RegistryRules } from './containers/container-judge.ts';
import { ContainerRegistry, type RegistryVerdict } from './containers/registry.ts';
import { compileRules } from './containers/rules.ts';
import { RuntimeDirectory } from './containers/runtime-directory.ts';
import type { ContainerMetadata } from './containers/runtimes/runtime-source.ts';
import type { ScopeChoice } from './containers/scope-choice.ts';
import { scopeOfCgroup } from './containers/scope.ts';
import { decodeScopeRecord } from './containers/scope-records.ts';
import type { Config } from './config/config.ts';
import { runtimeSettings } from './config/options.ts';
import { encodeResource } from './encode/resource.ts';
import type { Attributes } from './model/attributes.ts';
import * as layout from './model/record-layout.ts';
import type { ToPump } from './model/pump-messages.ts';
import type { Logger } from './telemetry/log.ts';

/** Reason: a start takes 1 s at most; containers whose runtime is slower are traced, and judged when it answers. */
const START_WAIT_MS = 400;
/** Reason: look-ups that end sleep 0.3 s at most before they notice. */
const CLOSE_WAIT_MS = 2000;

const VERDICTS: Readonly<Record<RegistryVerdict, number>> = {
  trace: layout.VERDICT_TRACE,
  deny: layout.VERDICT_DENY,
  ignore: layout.VERDICT_IGNORE,
  unjudged: layout.VERDICT_UNJUDGED,
};

export interface ContainerSideParts {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly scope: ScopeChoice;
  readonly tracer: Tracer;
  readonly hostAttributes: Attributes;
  readonly sendToPump: (message: ToPump) => void;
}

export class ContainerSide {
  readonly #parts: ContainerSideParts;
  readonly #registry: ContainerRegistry;
  readonly #directory: RuntimeDirectory;
  /** Scopes that the kernel's table holds: a host's group that isn't in it needs no entry. */
  readonly #inKernel = new Set<bigint>();
  #scanning: Promise<void> | null = null;
  #refreshing: Promise<void> | null = null;
  #isRefreshDue = false;
  #isClosed = false;

  constructor(parts: ContainerSideParts) {
    const { config, log, sendToPump } = parts;
    const settings = runtimeSettings(config);
    this.#parts = parts;
    this.#directory = new RuntimeDirectory({
      settings,
      waitMs: config.limits.metadataWaitMs,
      listener: {
        changed: (metadata) => this.#registry.metadataChanged(metadata),
        foundLater: (metadata) => this.#foundLater(metadata),
        state: (source, isAnswering, reason) =>
          isAnswering
            ? log.info('a container runtime answers', { runtime: source })
            : log.warn("a container runtime doesn't answer", { runtime: source, reason }),
      },
    });
    this.#registry = new ContainerRegistry({
      ...rulesOf(config),
      isContainerdNamed: settings.containerd !== 'auto' && settings.containerd.length > 0,
      containersMax: config.limits.containers,
      keepAfterExitMs: config.containers.keepAfterExitMs,
      waitsForDescription: !config.containers.runtimePhase,
      hostAttributes: parts.hostAttributes,
      distroVersion: parts.version,
      encodeResource,
      findMetadata: (question, runtime) => this.#directory.find(question, runtime),
      listener: {
        container: (update) => sendToPump({ type: 'container', update }),
        containerGone: (slot) => sendToPump({ type: 'container-gone', slot }),
        scope: (scope, verdict, slot, container) => this.#tell(scope, verdict, slot, container),
        scopeGone: (scope) => {
          this.#inKernel.delete(scope);
          sendToPump({ type: 'scope-gone', ...wordsOf(scope) });
        },
        containersFull: (max) =>
          log.warn('no room for another container; raise limits.containers', { containers: max }),
      },
    });
  }

  /** Finds the runtimes and the containers that run; those that answer soon are judged when it resolves. */
  async begin(): Promise<void> {
    await this.#directory.discover();
    await this.#scan();
    await this.settled(START_WAIT_MS);
  }

  /** Resolves when every known container is judged, or the time is over. */
  async settled(deadlineMs: number): Promise<void> {
    const timer = new AbortController();
    await Promise.race([
      this.#registry.settled(),
      sleep(deadlineMs, undefined, { signal: timer.signal }).catch(() => {}),
    ]);
    timer.abort();
  }

  list(): ReturnType<ContainerRegistry['list']> {
    return this.#registry.list();
  }

  /** Counts of what found no place or no answer; they only grow. */
  get counts(): Readonly<Record<string, number>> {
    return { ...this.#registry.counts, ...this.#directory.counts };
  }

  /** Once a second: forgets what is gone for long. */
  tick(): void {
    this.#registry.tick(Date.now());
  }

  /** Judges all containers by the rules of another configuration. */
  reload(config: Config): void {
    this.#registry.reload(rulesOf(config));
  }

  /** Ends the look-ups; what nobody has answered is judged by what is known, so that its records aren't lost. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#directory.close();
    await this.settled(CLOSE_WAIT_MS);
  }

  /** Takes a record of the kernel about a scope. */
  takeRecord(bytes: Uint8Array): void {
    const record = decodeScopeRecord(bytes);
    if (record === null) return;
    if (record.type === 'created') {
      const version = record.scope >> 62n === 0n ? 'v2' : 'v1';
      this.#inKernel.add(record.scope);
      this.#registry.scopeFound({ ...record, version });
    } else if (record.type === 'described') {
      this.#registry.scopeDescribed(record);
    } else {
      this.#registry.scopeRemoved(record.scope);
    }
  }

  /** The pump has records of a scope that it knows nothing of: its own record was lost, or its verdict is on the way. */
  async scopeUnknown(scope: bigint): Promise<void> {
    if (this.#registry.hasScope(scope)) return;
    await this.#scan();
    if (this.#registry.hasScope(scope)) return;
    const verdict = { ...wordsOf(scope), verdict: 'ignore', slot: 0 } as const;
    this.#parts.sendToPump({ type: 'scope', verdict });
  }

  /**
   * A container that nobody knew may have been taken for a group of the host, or for one that no rule allows: it is
   * looked for again, and described, as what was executed in it meanwhile wasn't told. One round serves all who ask.
   */
  #foundLater(metadata: ContainerMetadata): void {
    this.#registry.metadataChanged(metadata);
    this.#isRefreshDue = true;
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
  }

  async #refresh(): Promise<void> {
    while (this.#isRefreshDue && !this.#isClosed) {
      this.#isRefreshDue = false;
      await this.#scan();
      await this.settled(START_WAIT_MS);
      if (!this.#isClosed) await this.#parts.tracer.describeTasks();
    }
  }

  /** Reads the trees of the watched hierarchies; one walk serves all who ask meanwhile. */
  #scan(): Promise<void> {
    this.#scanning ??= this.#scanTrees().finally(() => (this.#scanning = null));
    return this.#scanning;
  }

  async #scanTrees(): Promise<void> {
    for (const { mountPoint, version } of this.#parts.scope.hierarchies) {
      const { groups, leftOut } = await scanTree(mountPoint);
      for (const { id, path } of groups) {
        this.#registry.scopeFound({ scope: scopeOfCgroup(id, version), path, version });
      }
      if (leftOut > 0) this.#parts.log.warn('more control groups than are scanned', { left_out: leftOut });
    }
  }

  /** The kernel first: a group made inside of it meanwhile then inherits. */
  #tell(scope: bigint, verdict: RegistryVerdict, slot: number, container: bigint): void {
    const { tracer, log, sendToPump } = this.#parts;
    const isStranger = verdict === 'ignore' && !this.#inKernel.has(scope);
    if (!isStranger) {
      this.#inKernel.add(scope);
      if (!tracer.judge(scope, container, VERDICTS[verdict], false))
        log.warn('the policy table is full: a container is not traced', { scope: String(scope) });
    }
    if (verdict === 'unjudged') return;
    sendToPump({
      type: 'scope',
      verdict: { ...wordsOf(scope), verdict: verdict === 'trace' ? 'trace' : 'ignore', slot },
    });
  }
}

function rulesOf(config: Config): RegistryRules {
  const labels = config.containers.labels.map((glob) => compileGlob(glob, 'name'));
  return {
    rules: compileRules(config.containers.allow, config.containers.deny),
    extraAttributes: config.resource,
    isLabelWanted: (key) => labels.some((matches) => matches(key)),
  };
}

function wordsOf(scope: bigint): { scopeLo: number; scopeHi: number } {
  return { scopeLo: Number(scope & 0xffff_ffffn), scopeHi: Number(scope >> 32n) };
}
