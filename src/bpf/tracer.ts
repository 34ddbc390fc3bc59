// The kernel side as the main thread sees it: sizes, settings, load, attach, the policy map, counters,
// adoption, sweeps. Owns every descriptor, link and mapping; the pump only gets addresses.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import * as layout from '../model/record-layout.ts';
import { BpfError, BpfObject } from './bpf-object.ts';
import { Btf, BTF_KIND_TYPEDEF } from './btf.ts';
import { KernelCounters } from './kernel-counters.ts';
import { libbpf } from './libbpf.ts';
import { mapShared, unmap } from './libc.ts';
import { chooseReads, objectFile, type Reads } from './object-file.ts';
import { encodeSettings, startEntriesOf, type TracerOptions } from './settings.ts';

const PAGE_BYTES = 4096;
/** Needed for any pair; a kernel without one of them can't be traced in tracepoint mode. */
const REQUIRED_HOOKS = ['sys_enter', 'sys_exit', 'sched_process_exit', 'sched_process_exec', 'signal_deliver'];
const GROUP_HOOKS = ['cgroup_mkdir', 'cgroup_rmdir'];
/** sched_prepare_exec is from 6.10; io_uring may be compiled out. */
const OPTIONAL_HOOKS = ['sched_prepare_exec', 'io_uring_submit_req'];
const UNHOOKED = ['adopt_files', 'mark_files', 'describe_tasks', 'judge_scope', 'sweep_pending'];
/** Reason: some 16,000 records of one portion fit a ring of 8 MiB; the pump drains between portions. */
const SWEEP_BUCKETS = 2048;

/** A host that lacks what fdspan needs: exit code 69. */
export class KernelUnfitError extends Error {
  readonly code = 'KERNEL_UNFIT';
}

export interface RingMapping {
  readonly ringFd: number;
  readonly consumerAddress: bigint;
  readonly producerAddress: bigint;
  readonly ringBytes: number;
}

export class Tracer {
  readonly ring: RingMapping;
  readonly counters: KernelCounters;
  readonly reads: Reads;
  /** Which optional hooks this kernel has. */
  readonly hooks: readonly string[];
  readonly #object: BpfObject;
  readonly #buckets: number;
  readonly #slotsAddress: bigint;
  readonly #slotsBytes: number;
  #epoch = 0;

  /** Opens and loads. Throws {@link KernelUnfitError} or {@link BpfError}. */
  constructor(options: TracerOptions) {
    const kernel = openKernelBtf(options.btfPath);
    try {
      this.hooks = chooseHooks(kernel);
      this.#buckets = powerOfTwo(Math.ceil(options.openFilesMax / layout.BUCKET_TAGS));
      this.reads = chooseReads(options.reads, kernel);
      this.#object = new BpfObject(objectFile(this.reads), options.btfPath);
      const startEntries = startEntriesOf(options.pidMax);
      for (const hook of OPTIONAL_HOOKS) {
        if (!this.hooks.includes(hook)) this.#object.setAutoload(hook, false);
      }
      this.#object.setMaxEntries('ring', options.ringBytes);
      this.#object.setMaxEntries('buckets', this.#buckets);
      this.#object.setMaxEntries('slots', this.#buckets * layout.BUCKET_TAGS);
      this.#object.setMaxEntries('starts', startEntries);
      this.#object.setInitialValue(
        '.rodata.settings',
        encodeSettings(options, kernel, this.#buckets, startEntries, libbpf().numPossibleCpus() as number),
      );
    } finally {
      kernel.close();
    }
    this.#object.load([...this.hooks, ...GROUP_HOOKS, ...UNHOOKED]);
    this.counters = new KernelCounters(this.#object, [...this.hooks, ...GROUP_HOOKS]);
    this.ring = mapRing(this.#object.mapFd('ring'), options.ringBytes);
    this.#slotsBytes = this.#buckets * layout.BUCKET_TAGS * layout.SLOT_BYTES;
    this.#slotsAddress = mapShared(this.#object.mapFd('slots'), this.#slotsBytes, 0, false);
  }

  /** Address and size of the table of pending opens, for reading only. */
  get slots(): { readonly address: bigint; readonly bytes: number } {
    return { address: this.#slotsAddress, bytes: this.#slotsBytes };
  }

  /** Attached before the tree is scanned: no group falls between. */
  attachGroups(): void {
    for (const hook of GROUP_HOOKS) this.#object.attach(hook);
  }

  attachCalls(): void {
    for (const hook of this.hooks) this.#object.attach(hook);
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

  /** Makes the kernel tell namespaces and host name of containers that run already. */
  describeTasks(): Promise<void> {
    return this.#iterate('describe_tasks');
  }

  /** Takes over the descriptors that are open now. */
  adoptFiles(): Promise<void> {
    return this.#iterate('adopt_files');
  }

  /** Ends as `lost` what was opened before this call and whose owner no longer has it. */
  async sweepLost(nowBootNs: bigint): Promise<void> {
    this.#epoch += 1;
    const epoch = Buffer.alloc(4);
    epoch.writeUInt32LE(this.#epoch);
    this.#object.updateArray('sweep_epoch', 0, epoch);
    await this.#iterate('mark_files');
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
    unmap(this.ring.consumerAddress, PAGE_BYTES);
    unmap(this.ring.producerAddress, PAGE_BYTES + 2 * this.ring.ringBytes);
    unmap(this.#slotsAddress, this.#slotsBytes);
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

  /** Reads the iterator to its end on a thread of the pool; it gives no bytes. */
  async #iterate(program: string): Promise<void> {
    const iterator = this.#object.openIterator(program);
    try {
      const stream = createReadStream('', { fd: iterator.fd });
      for await (const _bytes of stream);
    } finally {
      iterator.close();
    }
  }
}

function openKernelBtf(path: string | null): Btf {
  try {
    return Btf.open(path);
  } catch (cause) {
    throw new KernelUnfitError(
      `${(cause as Error).message}; fdspan needs a kernel built with CONFIG_DEBUG_INFO_BTF` +
        (path === null ? '' : ', or kernel.btf set to a file that holds its BTF'),
      { cause },
    );
  }
}

function chooseHooks(kernel: Btf): readonly string[] {
  const has = (hook: string): boolean => kernel.has(`btf_trace_${hook}`, BTF_KIND_TYPEDEF);
  const missing = [...REQUIRED_HOOKS, ...GROUP_HOOKS].filter((hook) => !has(hook));
  if (missing.length > 0) {
    throw new KernelUnfitError(
      `the kernel's BTF has no tracepoint ${missing.join(', ')}; fdspan needs CONFIG_TRACEPOINTS, ` +
        'CONFIG_HAVE_SYSCALL_TRACEPOINTS and CONFIG_CGROUPS',
    );
  }
  return [...REQUIRED_HOOKS, ...OPTIONAL_HOOKS.filter(has)];
}

function mapRing(ringFd: number, ringBytes: number): RingMapping {
  const consumerAddress = mapShared(ringFd, PAGE_BYTES, 0, true);
  const producerAddress = mapShared(ringFd, PAGE_BYTES + 2 * ringBytes, PAGE_BYTES, false);
  return { ringFd, consumerAddress, producerAddress, ringBytes };
}

function powerOfTwo(least: number): number {
  let value = 1;
  while (value < least) value *= 2;
  return value;
}

/** Reads the inode of the host's mount namespace: process 1's, or our own where that can't be read. */
export async function hostMountNamespace(): Promise<number> {
  for (const path of ['/proc/1/ns/mnt', '/proc/self/ns/mnt']) {
    try {
      return (await stat(path)).ino;
    } catch {
      // Without the right to look at process 1, our own namespace is the next best.
    }
  }
  throw new BpfError('reading the mount namespace', 0);
}
