// What the programs are told before they are loaded: struct settings of bpf/record.h.
import { randomBytes } from 'node:crypto';
import * as layout from '../model/record-layout.ts';
import type { Btf } from './btf.ts';
import type { FilterOptions } from './live-filters.ts';
import type { MetricsOptions } from './container-counts.ts';
import type { Reads } from './object-file.ts';

export interface TracerOptions {
  /** How the programs read kernel memory; `auto`: as this kernel allows. */
  readonly reads: Reads | 'auto';
  /** A file that stands in for /sys/kernel/btf/vmlinux; null: the kernel's own. */
  readonly btfPath: string | null;
  /** Bytes of the ring: a power of two, at least a page. */
  readonly ringBytes: number;
  readonly openFilesMax: number;
  readonly pidMax: number;
  /** fdspan's own files too: for tests. */
  readonly isSelfTraced: boolean;
  /** Inodes. */
  readonly hostMountNamespace: number;
  readonly hostPidNamespace: number;
  /** What they are at the start. */
  readonly filters: FilterOptions;
  /** What tells containers apart; for namespaces the next two are of no use. */
  readonly scopeBy: 'cgroup' | 'mntns' | 'pidns';
  readonly byCgroup2: boolean;
  /** Controller whose v1 hierarchy is asked, by its name in the kernel (`memory`); null: none. */
  readonly cgroup1Controller: string | null;
  readonly isHostTraced: boolean;
  readonly isRuntimePhaseTraced: boolean;
  /** Containers at once; their slots are 1…containersMax. */
  readonly containersMax: number;
  readonly traceGroupBy: 'process' | 'container';
  /** How long one slice of a trace lasts, and how many opens make it shorter. */
  readonly sliceNs: bigint;
  readonly sliceOpensMax: number;
  /** Bytes and calls through each file are added to its pair; left out: they aren't. */
  readonly hasIoTotals?: boolean;
  /** Left out: nothing is counted for each container. */
  readonly metrics?: MetricsOptions | undefined;
}

/** Reason: 32 bytes each; threads whose ids differ by more than this share an entry, and a start may be missed. */
const START_ENTRIES_MAX = 262_144;
/** Reason: 256 bytes each. Processes whose ids differ by more than this share a set of four slices. */
const SLICE_SETS_MAX = 16_384;
/** Slices of one set: SLICE_WAYS of bpf/slices.bpf.h. */
export const SLICE_WAYS = 4;
/** Names of v1 controllers as users see them, where the kernel's enum differs. */
const KERNEL_CONTROLLERS: Readonly<Record<string, string>> = { blkio: 'io' };

const SCOPE_KINDS = {
  cgroup: layout.SCOPE_CGROUP2,
  mntns: layout.SCOPE_MNTNS,
  pidns: layout.SCOPE_PIDNS,
} as const;

/** Returns how many tasks can be inside an open at once without sharing an entry: a power of two. */
export function startEntriesOf(pidMax: number): number {
  let entries = 4096;
  while (entries < Math.min(pidMax, START_ENTRIES_MAX)) entries *= 2;
  return entries;
}

/** Returns the sets of the table of slices: a power of two. */
export function sliceSetsOf(pidMax: number): number {
  let sets = 1024;
  while (sets < Math.min(pidMax, SLICE_SETS_MAX)) sets *= 2;
  return sets;
}

/** Encodes the settings. Throws when a controller isn't in the kernel's BTF. */
export function encodeSettings(
  options: TracerOptions,
  kernel: Btf,
  buckets: number,
  startEntries: number,
  cpuCount: number,
): Uint8Array {
  const settings = Buffer.alloc(layout.SETTINGS_BYTES);
  settings.writeBigUInt64LE(BigInt(options.ringBytes / 4), layout.SETTINGS_WAKE_BYTES);
  settings.writeBigUInt64LE(BigInt(options.ringBytes / 16), layout.SETTINGS_WAKE_STEP_BYTES);
  const fillCheckBytes = Math.floor(options.ringBytes / 64 / cpuCount);
  settings.writeBigUInt64LE(BigInt(fillCheckBytes), layout.SETTINGS_FILL_CHECK_BYTES);
  settings.writeUInt32LE(buckets - 1, layout.SETTINGS_BUCKET_MASK);
  settings.writeUInt32LE(startEntries - 1, layout.SETTINGS_START_MASK);
  settings.writeUInt32LE(options.hostMountNamespace, layout.SETTINGS_HOST_MNT_NS);
  settings.writeInt32LE(subsystemIndex(options.cgroup1Controller, kernel), layout.SETTINGS_CGROUP1_SUBSYS);
  settings.writeUInt32LE(options.hostPidNamespace, layout.SETTINGS_HOST_PID_NS);
  settings.writeUInt8(SCOPE_KINDS[options.scopeBy], layout.SETTINGS_SCOPE_BY);
  settings.writeUInt8(options.byCgroup2 ? 1 : 0, layout.SETTINGS_BY_CGROUP2);
  settings.writeUInt8(options.isHostTraced ? 1 : 0, layout.SETTINGS_TRACE_HOST);
  settings.writeUInt8(options.isRuntimePhaseTraced ? 1 : 0, layout.SETTINGS_RUNTIME_PHASE);
  settings.writeUInt8(
    options.traceGroupBy === 'container' ? layout.GROUP_BY_CONTAINER : layout.GROUP_BY_PROCESS,
    layout.SETTINGS_GROUP_BY,
  );
  randomBytes(8).copy(settings, layout.SETTINGS_BOOT_SECRET);
  settings.writeBigUInt64LE(options.sliceNs, layout.SETTINGS_SLICE_NS);
  settings.writeUInt32LE(options.sliceOpensMax, layout.SETTINGS_SLICE_OPENS_MAX);
  settings.writeUInt32LE(sliceSetsOf(options.pidMax) - 1, layout.SETTINGS_SLICE_MASK);
  return settings;
}

/** The place in css_set.subsys: from the kernel's BTF, as /proc/cgroups has another order on v2 kernels. */
function subsystemIndex(controller: string | null, kernel: Btf): number {
  if (controller === null) return -1;
  const name = `${KERNEL_CONTROLLERS[controller] ?? controller}_cgrp_id`;
  const index = kernel.enumValues('cgroup_subsys_id')?.get(name);
  if (index === undefined) throw new Error(`the kernel's BTF has no cgroup controller ${controller}`);
  return index;
}
