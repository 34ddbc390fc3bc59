// The kernel side as the main thread sees it: sizes, settings, load, attach, the policy map, counters,
// adoption, sweeps. Owns every descriptor, link and mapping; the pump only gets addresses.
import * as layout from '../model/record-layout.ts';
import type { BpfObject } from './bpf-object.ts';
import { ContainerCounts } from './container-counts.ts';
import { KernelCounters } from './kernel-counters.ts';
import { EXEC_HOOK, KernelUnfitError } from './kernel-hooks.ts';
import { runIterator } from './iterator.ts';
import { LiveFilters } from './live-filters.ts';
import { mapShared, unmap } from './libc.ts';
import type { Reads } from './object-file.ts';
import { OpenFiles } from './open-files.ts';
import { oldestBootNs, type KeptAtEnd } from './pending-opens.ts';
import { readProgramInfo } from './program-info.ts';
import { SamplingMaps } from './sampling-maps.ts';
import { SELF_TEST_ATTEMPTS_MAX, selfTest } from './self-test.ts';
import type { TracerOptions } from './settings.ts';
import { NAMESPACE_ITERATOR, openTracerObject, type TracerObject } from './tracer-object.ts';

const PAGE_BYTES = 4096;
const SCOPE_BYTES = 8;
/** Reason: some 16,000 records of one portion fit a ring of 8 MiB; the pump drains between portions. */
const SWEEP_BUCKETS = 2048;

export interface RingMapping {
  readonly ringFd: number;
  readonly consumerAddress: bigint;
  readonly producerAddress: bigint;
  readonly ringBytes: number;
}

export class Tracer {
  readonly ring: RingMapping;
  readonly counters: KernelCounters;
  readonly sampling: SamplingMaps;
  readonly openFiles: OpenFiles;
  /** null where nothing is counted for each container. */
  readonly containerCounts: ContainerCounts | null;
  readonly reads: Reads;
  /** Which optional hooks this kernel has. */
  readonly hooks: readonly string[];
  /** What is left out, from the next open or close on. */
  readonly filters: LiveFilters;
  readonly #object: BpfObject;
  /** All that are loaded. */
  readonly #programs: readonly string[];
  readonly #groupHooks: readonly string[];
  /** null where groups are the scopes. */
  readonly #buckets: number;
  #epoch = 0;
  #sweeping: Promise<void> | null = null;

  /** Opens and loads. Throws {@link KernelUnfitError} or {@link BpfError}. */
  static async open(options: TracerOptions): Promise<Tracer> {
    const opened = openTracerObject(options);
    try {
      await opened.object.loadAside(opened.programs);
      return new Tracer(options, opened);
    } catch (error) {
      opened.object.close();
      throw error;
    }
  }

  private constructor(options: TracerOptions, opened: TracerObject) {
    this.#object = opened.object;
    this.#programs = opened.programs;
    this.#groupHooks = opened.groupHooks;
    this.#buckets = opened.buckets;
    this.hooks = opened.hooks;
    this.reads = opened.reads;
    if (!options.isSelfTraced) this.#object.run('know_self', new Uint8Array());
    this.filters = new LiveFilters(this.#object);
    this.filters.begin(options.filters);
    this.counters = new KernelCounters(this.#object, [...this.hooks, ...this.#groupHooks]);
    this.openFiles = new OpenFiles(this.#object, this.#buckets);
    const slotsMax = options.metrics?.slotsMax;
    this.containerCounts =
      slotsMax === undefined
        ? null
        : new ContainerCounts(this.#object, slotsMax, opened.stripes, this.#buckets);
    this.ring = mapRing(this.#object.mapFd('ring'), options.ringBytes);
    this.sampling = new SamplingMaps(this.#object, options.containersMax + 1);
  }

  /** Returns until when (boot ns) the `count` oldest pending opens were opened. After {@link detach}: the table stands still. */
  oldestBootNs(count: number, kept: KeptAtEnd): bigint {
    return oldestBootNs(this.#object.mapFd('slots'), this.#buckets * layout.BUCKET_TAGS, count, kept);
  }

  /** Steps that the verifier took for each program; 0 where the kernel (before 5.16) doesn't tell. */
  get verifierSteps(): ReadonlyMap<string, number> {
    return new Map(
      this.#programs.map((name) => [name, readProgramInfo(this.#object.programFd(name))?.verifierSteps ?? 0]),
    );
  }

  /** Attached before the tree is scanned: no group falls between. */
  attachGroups(): void {
    for (const hook of this.#groupHooks) this.#object.attach(hook);
  }

  /** Attaches the rest; a test leaves hooks out. */
  attachCalls(hooks = this.hooks): void {
    for (const hook of hooks) if (hook !== EXEC_HOOK) this.#object.attach(hook);
  }

  /**
   * Whether the programs see an open and a close of the calling thread, now; null when it couldn't open a file.
   * Takes some 0.1 ms, without a wait.
   */
  get isSeeing(): boolean | null {
    try {
      return selfTest(this.#object).length === 0;
    } catch {
      return null;
    }
  }

  /** Throws {@link KernelUnfitError}, which names the hook, when they don't see one: attached isn't running. */
  proveAttached(): void {
    const missed = selfTest(this.#object);
    if (missed.length === 0) return;
    throw new KernelUnfitError(
      `the programs are attached, but fdspan's own open and close weren't seen: ${missed.join(', ')} saw nothing ` +
        `in ${SELF_TEST_ATTEMPTS_MAX} attempts`,
    );
  }

  /** Writes a verdict to the policy map; false when the map is full. */
  judge(scope: bigint, container: bigint, verdict: number, isOnlyNew: boolean): boolean {
    const judged = Buffer.alloc(layout.JUDGE_ARGUMENTS_BYTES);
    judged.writeBigUInt64LE(scope, layout.JUDGE_ARGUMENTS_SCOPE);
    judged.writeBigUInt64LE(container, layout.JUDGE_ARGUMENTS_CONTAINER);
    judged.writeUInt32LE(verdict, layout.JUDGE_ARGUMENTS_VERDICT);
    judged.writeUInt32LE(isOnlyNew ? 1 : 0, layout.JUDGE_ARGUMENTS_ONLY_NEW);
    return this.#object.run('judge_scope', judged) === 0;
  }

  /** Forgets a scope: its next open is that of an unknown one. */
  forget(scope: bigint): void {
    this.judge(scope, scope, 0, false);
  }

  /** Attached after the scan, whose groups name what is met, and before the look at all tasks: none falls between. */
  attachExec(): void {
    this.#object.attach(EXEC_HOOK);
  }

  /** Makes the kernel tell namespaces and host name of containers that run already and weren't told of. */
  describeTasks(): Promise<void> {
    return runIterator(this.#object, 'describe_tasks');
  }

  /** Returns the scopes of the namespaces that any task is in now. Only where namespaces are the scopes. */
  async listNamespaces(): Promise<ReadonlySet<bigint>> {
    const scopes = new Set<bigint>();
    let rest = Buffer.alloc(0);
    await runIterator(this.#object, NAMESPACE_ITERATOR, (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      const wholeBytes = rest.length - (rest.length % SCOPE_BYTES);
      for (let at = 0; at < wholeBytes; at += SCOPE_BYTES) scopes.add(rest.readBigUInt64LE(at));
      rest = rest.subarray(wholeBytes);
    });
    return scopes;
  }

  /** Takes over the descriptors that are open now. */
  adoptFiles(): Promise<void> {
    return runIterator(this.#object, 'adopt_files');
  }

  /** Ends the slices that began until then (boot ns): of processes that open nothing any more. */
  expireSlices(begunUntilBootNs: bigint): void {
    const expired = Buffer.alloc(layout.EXPIRE_ARGUMENTS_BYTES);
    expired.writeBigUInt64LE(begunUntilBootNs, layout.EXPIRE_ARGUMENTS_BEGUN_UNTIL_BOOT_NS);
    this.#object.run('expire_slices', expired);
  }

  /** Ends as `lost` what was opened before this call and whose owner no longer has it. */
  sweepLost(nowBootNs: bigint): Promise<void> {
    // One at a time: another would mark with its own epoch what this one takes for lost.
    this.#sweeping ??= this.#sweepLost(nowBootNs).finally(() => (this.#sweeping = null));
    return this.#sweeping;
  }

  async #sweepLost(nowBootNs: bigint): Promise<void> {
    this.#epoch += 1;
    const epoch = Buffer.alloc(4);
    epoch.writeUInt32LE(this.#epoch);
    this.#object.updateArray('sweep_epoch', 0, epoch);
    await runIterator(this.#object, 'mark_files');
    for (let first = 0; first < this.#buckets; first += SWEEP_BUCKETS) {
      this.#sweep(first, nowBootNs, layout.CLOSE_LOST);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /**
   * Ends as `stop` what was opened until then, in portions; `drained` is awaited after each, so that no
   * portion meets a full ring.
   */
  async stopPending(openedUntilBootNs: bigint, drained: () => Promise<void>): Promise<void> {
    for (let first = 0; first < this.#buckets; first += SWEEP_BUCKETS) {
      this.#sweep(first, openedUntilBootNs, layout.CLOSE_STOP);
      await drained();
    }
  }

  /** From here on no program runs; pairs that are open stay in the table. */
  detach(): void {
    this.#object.detach();
  }

  /** Unmaps and frees. The pump must have ended: a read after it is a SIGSEGV. */
  close(): void {
    this.sampling.close();
    this.filters.close();
    this.containerCounts?.close();
    unmap(this.ring.consumerAddress, PAGE_BYTES);
    unmap(this.ring.producerAddress, PAGE_BYTES + 2 * this.ring.ringBytes);
    this.#object.close();
  }

  #sweep(firstBucket: number, openedUntilBootNs: bigint, reason: number): void {
    const sweep = Buffer.alloc(layout.SWEEP_ARGUMENTS_BYTES);
    sweep.writeBigUInt64LE(openedUntilBootNs, layout.SWEEP_ARGUMENTS_OPENED_UNTIL_BOOT_NS);
    sweep.writeUInt32LE(firstBucket, layout.SWEEP_ARGUMENTS_FIRST_BUCKET);
    sweep.writeUInt32LE(SWEEP_BUCKETS, layout.SWEEP_ARGUMENTS_BUCKETS);
    sweep.writeUInt32LE(reason, layout.SWEEP_ARGUMENTS_REASON);
    sweep.writeUInt32LE(this.#epoch, layout.SWEEP_ARGUMENTS_EPOCH);
    this.#object.run('sweep_pending', sweep);
  }
}

function mapRing(ringFd: number, ringBytes: number): RingMapping {
  const consumerAddress = mapShared(ringFd, PAGE_BYTES, 0, true);
  const producerAddress = mapShared(ringFd, PAGE_BYTES + 2 * ringBytes, PAGE_BYTES, false);
  return { ringFd, consumerAddress, producerAddress, ringBytes };
}
