// The asynchronous root: builds kernel side, pump, registry and exporter, starts them in order, and stops
// them so that every record is accounted for. It must never block: the pump waits for its buffers.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootNs } from './bpf/libc.ts';
import { Tracer, hostMountNamespace } from './bpf/tracer.ts';
import { oldestBootNs } from './bpf/pending-opens.ts';
import { findHierarchies, layoutOf } from './containers/cgroup-mounts.ts';
import { hostAttributes } from './containers/host.ts';
import { chooseScope, type ScopeChoice } from './containers/scope-choice.ts';
import { ContainerSide } from './container-side.ts';
import type { Config } from './config/config.ts';
import { kernelOptions, pumpOptions } from './config/options.ts';
import type { Attributes } from './model/attributes.ts';
import { PumpThread } from './pump-thread.ts';
import { summarize } from './telemetry/summary.ts';
import type { Logger } from './telemetry/log.ts';

const TICK_MS = 1000;
/** Reason: what it finds was missed already; it costs a look at every open file of the host. */
const SWEEP_EVERY_MS = 60_000;
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

export class Collector {
  readonly #parts: CollectorParts;
  readonly #tracer: Tracer;
  readonly #pump: PumpThread;
  readonly #containers: ContainerSide;
  readonly #sink: RequestSink;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly scope: ScopeChoice;
  readonly hostAttributes: Attributes;

  private constructor(parts: CollectorParts, tracer: Tracer, scope: ScopeChoice, host: Attributes) {
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
      scopeRecord: (record) => this.#containers.takeRecord(record),
      scopeUnknown: (scope) => void this.#containers.scopeUnknown(scope),
    });
    this.#sink = parts.makeSink(this.#pump.counters);
    this.#containers = new ContainerSide({
      ...parts,
      scope,
      tracer,
      hostAttributes: host,
      sendToPump: (message) => this.#pump.send(message),
    });
  }

  /**
   * Loads, attaches and finds what runs already. Throws `KernelUnfitError`, `BpfError` or
   * `LibbpfMissingError` when this host can't be traced.
   */
  static async start(parts: CollectorParts): Promise<Collector> {
    const hierarchies = findHierarchies(await readFile('/proc/self/mountinfo', 'latin1'));
    const scope = chooseScope(parts.config.scope.by, hierarchies, layoutOf(hierarchies));
    const tracer = new Tracer(await kernelOptions(parts.config, scope, await hostMountNamespace()));
    const collector = new Collector(parts, tracer, scope, await hostAttributes());
    try {
      await collector.#begin();
    } catch (error) {
      await collector.#containers.close();
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
  containers(): ReturnType<ContainerSide['list']> {
    return this.#containers.list();
  }

  /** Judges all containers by the rules of another configuration. */
  reload(config: Config): void {
    this.#containers.reload(config);
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
    // Records of a container that just began wait for its verdict.
    await this.#containers.settled(limits.metadataWaitMs);
    await this.#containers.close();
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
    this.#tracer.attachGroups();
    await this.#containers.begin();
    await this.#tracer.describeTasks();
    this.#tracer.attachCalls();
    if (this.#parts.config.scope.adoptOpen) await this.#tracer.adoptFiles();
    this.#timers.push(
      setInterval(() => this.#containers.tick(), TICK_MS),
      setInterval(() => void this.#sweep(), SWEEP_EVERY_MS),
    );
  }

  async #sweep(): Promise<void> {
    const kernel = this.#tracer.counters.read();
    if (kernel['opens_tracked'] === kernel['pairs_finished']) return;
    await this.#tracer.sweepLost(bootNs());
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
