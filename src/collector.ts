// The asynchronous root: builds kernel side, pump, registry and exporter, starts them in order, and stops
// them so that every record is accounted for. It must never block: the pump waits for its buffers.
import { setTimeout as sleep } from 'node:timers/promises';
import { bootNs } from './bpf/libc.ts';
import type { Tracer } from './bpf/tracer.ts';
import type { ScopeChoice } from './containers/scope-choice.ts';
import { ContainerSide } from './container-side.ts';
import type { Config } from './config/config.ts';
import { openFileOptions, pumpOptions } from './config/options.ts';
import { kernelFilters } from './kernel-filters.ts';
import type { Attributes } from './model/attributes.ts';
import type { CountedContainer } from './model/container-counts.ts';
import type { OpenFilesQuery } from './model/open-file-row.ts';
import { NO_SPANS } from './model/span-counts.ts';
import type { SlotCount } from './model/slot-counts.ts';
import { hasPending, OpenFileSide } from './open-files/open-file-side.ts';
import { PumpThread } from './pump-thread.ts';
import { SAMPLING_TICK_MS, SamplingSide } from './sampling-side.ts';
import type { RequestSink } from './request-sink.ts';
import { TracedContainers } from './traced-containers.ts';
import { atMost } from './model/at-most.ts';
import type { CollectorParts } from './collector-parts.ts';
import { findParts, type Found } from './find-parts.ts';
import { summarize } from './telemetry/summary.ts';

const TICK_MS = 1000;
/** Reason: what it finds was missed already; it costs a look at every open file of the host. */
const SWEEP_EVERY_MS = 60_000;
const QUEUE_LOOK_MS = 10;
/** For the queue to have room for 2,048 reports more. Reason: a report may be late; a backend that is down lets nobody in. */
const REPORTS_WAIT_MS = 1000;
/** For the spool: memory is on a disk that works in less. */
const ABANDON_MS = 1000;
/** A look-up that began just now ends by its own wait, not by the stop's. */
const SETTLE_MARGIN_MS = 250;
/** Reason: a slice's root waits 5 s for files that end after it; what the kernel tells of it must come before. */
const EXPIRE_EVERY_MS = 2000;
const NS_PER_MS = 1_000_000n;
const FOR_EVER = 0xffff_ffff_ffff_ffffn;

export class Collector {
  readonly #parts: CollectorParts;
  readonly #tracer: Tracer;
  readonly #pump: PumpThread;
  readonly #sampling: SamplingSide;
  readonly #containers: ContainerSide;
  readonly #openFiles: OpenFileSide;
  readonly #traced: TracedContainers;
  readonly #sink: RequestSink;
  readonly #timers: NodeJS.Timeout[] = [];
  #isDetached = false;
  /** A stop was given up: the counters are those of stages in mid-work. */
  isAbandoned = false;
  /** The counters of a stop: there is no kernel side to ask any more. */
  #last: Record<string, number> | null = null;
  /** What was counted for each container, when the collector has stopped. */
  lastCounted: readonly CountedContainer[] = [];
  readonly scope: ScopeChoice;
  readonly hostAttributes: Attributes;

  private constructor(parts: CollectorParts, found: Found) {
    const { tracer, scope, host } = found;
    const { config } = parts;
    this.#parts = parts;
    this.#tracer = tracer;
    this.scope = scope;
    this.hostAttributes = host;
    const settings = pumpOptions(config, tracer.ring, parts.version);
    const onUnread = (error: unknown): void => parts.log.warn("control groups can't be read", { error });
    this.#pump = new PumpThread(found.pumpWorker, settings, {
      request: (bytes, ...spans) => {
        parts.tap?.(bytes);
        return this.#sink.enqueue(bytes, ...spans);
      },
      scopeRecord: (record) => this.#containers.takeRecord(record),
      scopeUnknown: (scope) => void this.#containers.scopeUnknown(scope).catch(onUnread),
    });
    this.#sink = parts.makeSink(this.#pump.counters);
    this.#traced = new TracedContainers(tracer.containerCounts, config.scope.host ? host : null);
    this.#sampling = new SamplingSide(config, tracer.sampling, this.#pump);
    this.#containers = new ContainerSide({
      ...parts,
      ...found,
      sampling: this.#sampling,
      traced: this.#traced,
      hostAttributes: host,
      pump: this.#pump,
    });
    this.#openFiles = new OpenFileSide({
      log: parts.log,
      openFiles: tracer.openFiles,
      ...openFileOptions(config),
      containers: () => this.#containers.list(),
      drained: () => this.#portionSent(this.#isDetached ? 0 : performance.now() + REPORTS_WAIT_MS),
      counters: () => tracer.counters.read(),
    });
  }

  /**
   * Loads, attaches and finds what runs already. Throws `KernelUnfitError`, `BpfError` or
   * `LibbpfMissingError` when this host can't be traced.
   */
  static async start(parts: CollectorParts): Promise<Collector> {
    const found = await findParts(parts.config);
    const collector = new Collector(parts, found);
    try {
      await collector.#begin();
    } catch (error) {
      collector.#containers.close();
      collector.#sampling.close();
      await collector.#pump.stop();
      found.tracer.close();
      throw error;
    }
    return collector;
  }

  /** Every counter of now, by name. */
  counters(): Record<string, number> {
    return this.#last ?? this.#summarize(this.#tracer.counters.read());
  }

  /** How the programs read kernel memory here. */
  get reads(): Tracer['reads'] {
    return this.#tracer.reads;
  }

  /** Whether the programs see an open and a close of this process, tried at each call; null: it couldn't be tried, as in a stop. */
  get isAttached(): boolean | null {
    return this.#isDetached ? null : this.#tracer.isSeeing;
  }

  /** The containers that are known now. */
  containers(): (ReturnType<ContainerSide['list']>[number] & SlotCount)[] {
    return this.#containers.list().map((container) => ({
      ...container,
      // Slot 0 is the host's, and that of whatever has none.
      ...(container.slot === 0 ? { spans: 0, filtered: 0 } : this.#pump.slotCounts.read(container.slot)),
    }));
  }

  /** Yields the files that are open now, some at a time. */
  openFiles(query: OpenFilesQuery): ReturnType<OpenFileSide['list']> {
    return this.#openFiles.list(query);
  }

  /** The running containers whose pressure is told. */
  pressed(): ReturnType<ContainerSide['withResources']> {
    return this.#containers.withResources();
  }

  /** What was counted for each container, and the last numbers of those that ended since the last call. */
  async counted(): Promise<readonly CountedContainer[]> {
    return this.#isDetached ? [] : this.#traced.look();
  }

  /** Filters, and judges all containers by the rules of another configuration. */
  async reload(config: Config): Promise<void> {
    if (this.#isDetached) return;
    const openFiles = openFileOptions(config);
    this.#pump.send({ type: 'redaction', redaction: openFiles.redaction });
    this.#openFiles.change(openFiles);
    this.#sampling.prepare(config);
    await this.#containers.reload(config);
    if (this.#isDetached) return;
    // The globs tell which sampling rules agree: nothing is awaited between the two.
    await this.#tracer.filters.change(kernelFilters(config), () => this.#sampling.apply(config));
  }

  /** What the pump counts. It turns some ten times a second, idle or stalled: `pump_turned_ms`, by the boot clock. */
  get pumped(): ReturnType<PumpThread['readCounters']> {
    return this.#pump.readCounters();
  }

  /** What waits to be sent, in memory and on the disk. */
  get waiting(): Pick<RequestSink, 'unsettledSpans' | 'queuedBytes' | 'spool'> {
    return this.#sink;
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
    this.#isDetached = true;
    this.#tracer.detach();
    // After it: a look that waits for the ring to be empty would wait for the load to end.
    await this.#openFiles.stop();
    await this.#pump.drained();
    // Records of a container that just began wait for its verdict.
    await this.#containers.finish(limits.metadataWaitMs + SETTLE_MARGIN_MS);
    await this.#openFiles.saveLast();
    this.lastCounted = await this.#traced.lastLook();
    const kernel = this.#tracer.counters.read();
    const pending = kernel['opens_tracked'] - kernel['pairs_finished'];
    const isAll = limits.stopSpans === 0 || pending <= limits.stopSpans;
    const kept = this.#sampling.keptAtEnd();
    const until = isAll ? FOR_EVER : this.#tracer.oldestBootNs(limits.stopSpans, kept);
    const deadlineMs = performance.now() + limits.stopDeadlineMs;
    // Every slice that is live has ended now.
    this.#tracer.expireSlices(FOR_EVER);
    await this.#tracer.stopPending(until, () => this.#portionSent(deadlineMs));
    await this.#containers.answered(SETTLE_MARGIN_MS);
    await this.#pump.stop();
    await this.#sink.flush(Math.max(0, deadlineMs - performance.now()));
    this.#last = this.counters();
    await this.#sink.close();
    this.#sampling.close();
    this.#tracer.close();
    return this.#last;
  }

  /** After the pump died: sends what it gave, and spools the rest. Returns the counters of then. */
  async salvage(): Promise<Record<string, number>> {
    await this.#sink.flush(this.#parts.config.limits.stopDeadlineMs);
    return this.counters();
  }

  /** Ends a stop that is under way: nothing more is sent. Returns the counters of then; some stage may not have ended. */
  async abandon(): Promise<Record<string, number>> {
    this.isAbandoned = true;
    await atMost(ABANDON_MS, Promise.resolve(this.#sink.close()));
    return this.counters();
  }

  /** The next portion waits for room in the queue: it must not push out what came before. */
  async #portionSent(deadlineMs: number): Promise<void> {
    await this.#pump.drained();
    while (!this.#sink.hasRoom && !this.isAbandoned && performance.now() < deadlineMs)
      await sleep(QUEUE_LOOK_MS);
  }

  async #begin(): Promise<void> {
    await this.#pump.ready;
    const verdict = { scopeLo: 0, scopeHi: 0, verdict: 'trace', slot: 0 } as const;
    this.#pump.send({ type: 'scope', verdict });
    await this.#openFiles.begin();
    this.#tracer.attachGroups();
    await this.#containers.begin();
    this.#tracer.attachExec();
    await this.#tracer.describeTasks();
    this.#tracer.attachCalls();
    this.#tracer.proveAttached();
    this.#parts.log.debug('the programs see an open and a close');
    if (this.#parts.config.scope.adoptOpen) await this.#tracer.adoptFiles();
    await this.#openFiles.start();
    this.#timers.push(
      setInterval(() => this.#containers.tick(), TICK_MS),
      setInterval(() => this.#traced.tick(), TICK_MS),
      setInterval(() => this.#sampling.tick(), SAMPLING_TICK_MS),
      setInterval(() => void this.#sweep(), SWEEP_EVERY_MS),
      setInterval(() => this.#expireSlices(), EXPIRE_EVERY_MS),
    );
  }

  #expireSlices(): void {
    try {
      this.#tracer.expireSlices(bootNs() - BigInt(this.#parts.config.trace.windowMs) * NS_PER_MS);
    } catch (error) {
      this.#parts.log.warn('slices of traces could not be ended', { error });
    }
  }

  async #sweep(): Promise<void> {
    try {
      const kernel = this.#tracer.counters.read();
      if (!hasPending(kernel)) return;
      await this.#tracer.sweepLost(bootNs());
    } catch (error) {
      this.#parts.log.warn('closes that were missed could not be looked for', { error });
    }
  }

  #summarize(kernel: Record<string, number>): Record<string, number> {
    const shared = this.#pump.readCounters();
    return summarize(
      { ...kernel, ...this.#containers.counts, ...this.#openFiles.counts, ...this.#traced.counts },
      shared,
      {
        stillOpen: kernel['opens_tracked'] - kernel['pairs_finished'],
        ringUnread: Math.max(0, kernel['records_sent'] - shared.records_read),
        inFlight: this.#sink.unsettledSpans,
        spooled: this.#sink.spool?.waiting ?? NO_SPANS,
      },
    );
  }
}
