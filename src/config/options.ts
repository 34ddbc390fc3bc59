// What users write → what each stage gets.
import { readFile } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { constants as osConstants } from 'node:os';
import type { FilterOptions } from '../bpf/live-filters.ts';
import type { TracerOptions } from '../bpf/settings.ts';
import type { RingMapping } from '../bpf/tracer.ts';
import type { HostNamespaces } from '../containers/namespaces.ts';
import type { RuntimeSettings, SocketSetting } from '../containers/runtime-sources.ts';
import type { ScopeChoice } from '../containers/scope-choice.ts';
import { DURATION_BOUNDS_S, FAILURE_NAMES } from '../model/container-counts.ts';
import type { Redaction } from '../model/redaction.ts';
import type { PumpSettings } from '../pump-thread.ts';
import type { Config } from './config.ts';
import { magicOf } from './file-systems.ts';

/** S_IFMT >> 12. */
const FILE_TYPE_BITS: Readonly<Record<string, number>> = {
  fifo: 1,
  character_device: 2,
  directory: 4,
  block_device: 6,
  regular: 8,
  symlink: 10,
};
/** By ACCESS_*. */
const ACCESSES = ['read', 'write', 'read_write', 'none', 'path'];
/** Reason: under the 4 MiB that grpc-go takes by default, with room for resources. */
const REQUEST_BYTES_MAX = 2 << 20;
/** Of the queue: one that is larger than all of it would be dropped, and one that is nearly as large drops all others. */
const REQUEST_SHARE = 1 / 4;
/** Reason: from 2,048 spans on, a larger request costs no less per span. */
const REQUEST_SPANS_MAX = 2048;
/** Reason: close to accepted within 1 s, of which the ring takes 100 ms. */
const REQUEST_AGE_MAX_MS = 200;
const BUFFERS_MAX = 8;

export async function kernelOptions(
  config: Config,
  scope: ScopeChoice,
  hostNamespaces: HostNamespaces,
  filters: FilterOptions,
): Promise<TracerOptions> {
  return {
    reads: config.kernel.reads,
    btfPath: config.kernel.btf,
    ringBytes: config.limits.ring,
    openFilesMax: config.limits.openFiles,
    pidMax: Number(await readFile('/proc/sys/kernel/pid_max', 'utf8')),
    isSelfTraced: false,
    hostMountNamespace: hostNamespaces.mnt,
    hostPidNamespace: hostNamespaces.pid,
    filters,
    scopeBy: scope.by,
    byCgroup2: scope.byCgroup2,
    cgroup1Controller: scope.cgroup1Controller,
    isHostTraced: config.scope.host,
    isRuntimePhaseTraced: config.containers.runtimePhase,
    containersMax: config.limits.containers,
    traceGroupBy: config.trace.groupBy,
    sliceNs: BigInt(config.trace.windowMs) * 1_000_000n,
    sliceOpensMax: config.trace.spansMax,
    hasIoTotals: config.spans.ioTotals,
    metrics: config.telemetry.metrics.containers ? metricsOptions(config) : undefined,
  };
}

/** One slot more than containers: the host's. */
function metricsOptions({ limits }: Config): TracerOptions['metrics'] {
  return {
    slotsMax: limits.containers + 1,
    durationBoundsNs: DURATION_BOUNDS_S.map((seconds) => BigInt(Math.round(seconds * 1e9))),
    failureErrnos: FAILURE_NAMES.map((name) => osConstants.errno[name]),
  };
}

/** Returns all but the globs, which are compiled. */
export function filterOptions({
  files,
  processes,
  spans,
}: Config): Omit<FilterOptions, 'globs' | 'globsAsked'> {
  return {
    failedErrnos: spans.failedOpens.map((name) => osConstants.errno[name as 'EPERM']),
    fileTypes: files.types.map((type) => FILE_TYPE_BITS[type]),
    excludedMagics: files.excludeFilesystems.map(magicOf),
    accesses: files.access.map((access) => ACCESSES.indexOf(access)),
    users: processes.users,
    minDurationNs: BigInt(Math.round(spans.minDurationMs * 1e6)),
  };
}

export function pumpOptions(config: Config, ring: RingMapping, version: string): PumpSettings {
  const bootId = randomBytes(8);
  return {
    ...ring,
    bootIdLo: bootId.readUInt32LE(0),
    bootIdHi: bootId.readUInt32LE(4),
    requestBytesMax: Math.min(REQUEST_BYTES_MAX, Math.floor(config.export.queue.bytesMax * REQUEST_SHARE)),
    requestSpansMax: REQUEST_SPANS_MAX,
    requestAgeMaxMs: REQUEST_AGE_MAX_MS,
    buffersMax: BUFFERS_MAX,
    containersMax: config.limits.containers,
    waitingRecordsMax: config.limits.waitingRecords,
    attributes: config.spans.attributes,
    hasIoTotals: config.spans.ioTotals,
    redaction: redactionOf(config),
    spanName: config.spans.name,
    spanNamesMax: config.spans.namesMax,
    scopeVersion: version,
    traceGroupBy: config.trace.groupBy,
    sliceMs: config.trace.windowMs,
    sliceSpansMax: config.trace.spansMax,
  };
}

const REDACT_KEY_BYTES = 16;

/** One for each start: a reload must not let the hashes of the same paths differ. */
const randomKey = randomBytes(REDACT_KEY_BYTES);

/** What the open files are reported and shown by. */
export function openFileOptions(config: Config): {
  readonly held: Config['spans']['held'];
  readonly stateFile: string | null;
  readonly redaction: Redaction | undefined;
} {
  const { spans, control } = config;
  return { held: spans.held, stateFile: control.stateFile, redaction: redactionOf(config) };
}

function redactionOf({ files: { redact, redactKey } }: Config): Redaction | undefined {
  if (redact.length === 0) return undefined;
  const key =
    redactKey === null
      ? randomKey
      : createHash('sha256').update(redactKey).digest().subarray(0, REDACT_KEY_BYTES);
  return { rules: redact, key };
}

export function runtimeSettings({ containers: { runtimes } }: Config): RuntimeSettings {
  const given = runtimes === 'auto' ? {} : runtimes;
  const sockets = (name: string): SocketSetting => (given[name] === 'off' ? [] : (given[name] ?? 'auto'));
  return {
    docker: sockets('docker'),
    podman: sockets('podman'),
    containerd: sockets('containerd'),
    cri: sockets('cri'),
    state: given['state'] !== 'off',
  };
}
