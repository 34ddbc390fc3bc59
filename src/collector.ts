// The asynchronous root: builds kernel side, pump, registry and exporter, starts them in order, and stops
// them so that every record is accounted for. It must never block: the pump waits for its buffers.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootNs } from './bpf/libc.ts';
import { Tracer, hostNamespace } from './bpf/tracer.ts';
import { oldestBootNs } from './bpf/pending-opens.ts';
import { findHierarchies, layoutOf } from './containers/cgroup-mounts.ts';
import { scanTree } from './containers/cgroup-tree.ts';
import { hostAttributes } from './containers/host.ts';
import { Namespaces, type NamespacesOptions } from './containers/namespaces.ts';
import { ContainerRegistry, type FoundScope, type RegistryVerdict } from './containers/registry.ts';
import { compileRules } from './containers/rules.ts';
import { chooseScope, type ScopeChoice } from './containers/scope-choice.ts';
import { scopeOfCgroup } from './containers/scope.ts';
import { decodeScopeRecord } from './containers/scope-records.ts';
import type { Config } from './config/config.ts';
import { kernelOptions, pumpOptions } from './config/options.ts';
import { encodeResource } from './encode/resource.ts';
import * as layout from './model/record-layout.ts';
import type { Attributes } from './model/attributes.ts';
import { namespacesListener } from './namespaces-listener.ts';
import { PumpThread } from './pump-thread.ts';
import { summarize } from './telemetry/summary.ts';
import type { Logger } from './telemetry/log.ts';

const TICK_MS = 1000;
/** Reason: what it finds was missed already; it costs a look at every open file of the host. */
const SWEEP_EVERY_MS = 60_000;
const VERDICTS: Readonly<Record<RegistryVerdict, number>> = {
  trace: layout.VERDICT_TRACE,
  deny: layout.VERDICT_DENY,
  ignore: layout.VERDICT_IGNORE,
};
const QUEUE_LOOK_MS = 10;
const FOR_EVER = 0xffff_ffff_ffff_ffffn;

/** Where sealed requests go. */
export interface RequestSink {
  /** Resolves when the bytes are no longer needed. */
  enqueue(request: Uint8Array, spans: number): Promise<void> | void;
  flush(deadlineMs: number): Promise<void>;
  close(): void;
  readonly inFlightSpans: number;
  readonly queuedBytes: number;
}

export interface CollectorParts {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly makeSink: (counters: Float64Array) => RequestSink;
  /** Sees each sealed request before the sink does; must not keep the bytes. */
  readonly tap?: (request: Uint8Array) => void;
}

/** What the start found out before the collector was made. */
interface Found {
  readonly tracer: Tracer;
  readonly scope: ScopeChoice;
  readonly host: Attributes;
  readonly watch: Omit<NamespacesOptions, 'listener'>;
}

export class Collector {
  readonly #parts: CollectorParts;
  readonly #tracer: Tracer;
  readonly #pump: PumpThread;
  readonly #registry: ContainerRegistry;
  /** null where control groups are the scopes. */
  readonly #namespaces: Namespaces | null;
  readonly #sink: RequestSink;
  readonly #created = new Set<bigint>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly scope: ScopeChoice;
  readonly hostAttributes: Attributes;

  private constructor(parts: CollectorParts, { tracer, scope, host, watch }: Found) {
    const { config } = parts;
    this.#parts = parts;
    this.#tracer = tracer;
    this.scope = scope;
    this.hostAttributes = host;
    this.#pump = new PumpThread(pumpOptions(config, tracer.ring, parts.version), {
      request: (bytes, spans) => {
        parts.tap?.(bytes);
        return this.#sink.enqueue(bytes, spans);
      },
      scopeRecord: (record) => this.#takeScopeRecord(record),
      scopeUnknown: (unknown) =>
        this.#namespaces === null ? void this.#scan() : this.#namespaces.unknown(unknown),
    });
    this.#sink = parts.makeSink(this.#pump.counters);
    this.#registry = new ContainerRegistry({
      containersMax: config.limits.containers,
      keepAfterExitMs: config.containers.keepAfterExitMs,
      hostAttributes: host,
      extraAttributes: config.resource,
      distroVersion: parts.version,
      rules: compileRules(config.containers.allow, config.containers.deny),
      encodeResource,
      listener: {
        container: (update) => this.#pump.send({ type: 'container', update }),
        containerGone: (slot) => this.#pump.send({ type: 'container-gone', slot }),
        scope: (found, verdict, slot, container) => this.#judge(found, verdict, slot, container),
        scopeGone: (gone) => {
          this.#created.delete(gone);
          this.#pump.send({ type: 'scope-gone', ...wordsOf(gone) });
        },
        containersFull: (max) =>
          parts.log.warn('no room for another container; raise limits.containers', { containers: max }),
      },
    });
    this.#namespaces =
      scope.by === 'cgroup'
        ? null
        : new Namespaces({ ...watch, listener: namespacesListener(tracer, this.#registry, parts.log) });
  }

  /**
   * Loads, attaches and finds what runs already. Throws `KernelUnfitError`, `BpfError` or
   * `LibbpfMissingError` when this host can't be traced.
   */
  static async start(parts: CollectorParts): Promise<Collector> {
    const hierarchies = findHierarchies(await readFile('/proc/self/mountinfo', 'latin1'));
    const scope = chooseScope(parts.config.scope, hierarchies, layoutOf(hierarchies));
    const hostNamespaces = { mnt: await hostNamespace('mnt'), pid: await hostNamespace('pid') };
    const host = await hostAttributes();
    const tracer = new Tracer(await kernelOptions(parts.config, scope, hostNamespaces));
    const watch = { hierarchies, cgroup1Controller: scope.cgroup1Controller, hostNamespaces };
    const collector = new Collector(parts, { tracer, scope, host, watch });
    try {
      await collector.#begin();
    } catch (error) {
      await collector.#pump.stop();
      tracer.close();
      throw error;
    }
    return collector;
  }

  /** Every counter of now, by name. */
  counters(): Record<string, number> {
    return this.#summarize(this.#tracer.counters.read());
  }

  /** How the programs read kernel memory here. */
  get reads(): Tracer['reads'] {
    return this.#tracer.reads;
  }

  /** The containers that are known now. */
  containers(): ReturnType<ContainerRegistry['list']> {
    return this.#registry.list();
  }

  /** When the pump turned last, by the wall clock; it turns some ten times a second, idle or stalled. */
  get pumpTurnedMs(): number {
    return this.#pump.readCounters().pump_turned_ms;
  }

  /** What waits to be sent. */
  queue(): { readonly spans: number; readonly bytes: number; readonly bytesMax: number } {
    const { bytesMax } = this.#parts.config.export.queue;
    return { spans: this.#sink.inFlightSpans, bytes: this.#sink.queuedBytes, bytesMax };
  }

  /** Rejects when the pump dies; there is no going on then. */
  get failed(): Promise<never> {
    return this.#pump.failed;
  }

  /** Stops in order and returns the last counters. Nothing is unmapped before the pump has ended. */
  async stop(): Promise<Record<string, number>> {
    const { limits } = this.#parts.config;
    for (const timer of this.#timers) clearInterval(timer);
    // First: what its owner no longer has is `lost`, and only the rest is still open.
    await this.#sweep();
    this.#tracer.detach();
    await this.#pump.drained();
    await this.#namespaces?.settle();
    const kernel = this.#tracer.counters.read();
    const pending = kernel['opens_tracked'] - kernel['pairs_finished'];
    const until =
      limits.stopSpans === 0 || pending <= limits.stopSpans
        ? FOR_EVER
        : oldestBootNs(this.#tracer.slots, limits.stopSpans);
    const deadlineMs = Date.now() + limits.stopDeadlineMs;
    await this.#tracer.stopPending(until, () => this.#portionSent(deadlineMs));
    await this.#pump.stop();
    await this.#sink.flush(limits.stopDeadlineMs);
    const counters = this.counters();
    this.#sink.close();
    this.#tracer.close();
    return counters;
  }

  /** The next portion waits for room in the queue: it must not push out what came before. */
  async #portionSent(deadlineMs: number): Promise<void> {
    await this.#pump.drained();
    const roomBytes = this.#parts.config.export.queue.bytesMax / 2;
    while (this.#sink.queuedBytes > roomBytes && Date.now() < deadlineMs) await sleep(QUEUE_LOOK_MS);
  }

  async #begin(): Promise<void> {
    await this.#pump.ready;
    this.#pump.send({
      type: 'scope',
      verdict: { scopeLo: 0, scopeHi: 0, verdict: 'trace', slot: 0 },
    });
    this.#tracer.attachScopes();
    await this.#scan();
    await this.#tracer.describeTasks();
    this.#tracer.attachCalls();
    if (this.#parts.config.scope.adoptOpen) await this.#tracer.adoptFiles();
    this.#timers.push(
      setInterval(() => this.#registry.tick(Date.now()), TICK_MS),
      setInterval(() => void this.#sweep(), SWEEP_EVERY_MS),
      setInterval(() => this.#namespaces?.tick(Date.now()), TICK_MS),
    );
  }

  /** Reads the trees of the watched hierarchies: at start, and when a record's scope is unknown. */
  async #scan(): Promise<void> {
    for (const hierarchy of this.scope.hierarchies) {
      const { groups, leftOut } = await scanTree(hierarchy.mountPoint);
      for (const { id, path } of groups) {
        this.#groupFound({ scope: scopeOfCgroup(id, hierarchy.version), path, version: hierarchy.version });
      }
      if (leftOut > 0) this.#parts.log.warn('more control groups than are scanned', { left_out: leftOut });
    }
  }

  #groupFound(found: FoundScope): void {
    if (this.#namespaces === null) this.#registry.scopeFound(found);
    else this.#namespaces.groups.add(found.scope, found.path);
  }

  async #sweep(): Promise<void> {
    const kernel = this.#tracer.counters.read();
    if (kernel['opens_tracked'] === kernel['pairs_finished']) return;
    await this.#tracer.sweepLost(bootNs());
  }

  /** The kernel first: a group made inside of it meanwhile then inherits. */
  #judge(scope: bigint, verdict: RegistryVerdict, slot: number, container: bigint): void {
    const isStranger = verdict === 'ignore' && !this.#created.has(scope);
    if (!isStranger && !this.#tracer.judge(scope, container, VERDICTS[verdict], false)) {
      this.#parts.log.warn('the policy map is full: a container is not traced', { scope: String(scope) });
    }
    this.#pump.send({
      type: 'scope',
      verdict: { ...wordsOf(scope), verdict: verdict === 'trace' ? 'trace' : 'ignore', slot },
    });
  }

  #takeScopeRecord(bytes: Uint8Array): void {
    const record = decodeScopeRecord(bytes);
    if (record === null) return;
    if (record.type === 'created') {
      const version = record.scope >> 62n === 0n ? 'v2' : 'v1';
      this.#created.add(record.scope);
      this.#groupFound({ ...record, version });
    } else if (record.type === 'met') {
      this.#created.add(record.scope);
      this.#namespaces?.met(record);
    } else if (record.type === 'described') {
      this.#registry.scopeDescribed(record);
    } else if (this.#namespaces === null) {
      this.#registry.scopeRemoved(record.scope);
    } else {
      this.#created.delete(record.scope);
      this.#namespaces.groups.remove(record.scope);
    }
  }

  #summarize(kernel: Record<string, number>): Record<string, number> {
    const shared = this.#pump.readCounters();
    return summarize(kernel, shared, {
      stillOpen: kernel['opens_tracked'] - kernel['pairs_finished'],
      ringUnread: Math.max(0, kernel['records_sent'] - shared.records_read),
      inFlight: this.#sink.inFlightSpans,
      spooled: 0,
      spoolRecovered: 0,
    });
  }
}

function wordsOf(scope: bigint): { scopeLo: number; scopeHi: number } {
  return { scopeLo: Number(scope & 0xffff_ffffn), scopeHi: Number(scope >> 32n) };
}
