// Decodes the ring's records about scopes (bpf/record.h) for the main thread. Any bytes may come:
// what isn't a whole record gives null.

import * as layout from '../model/record-layout.ts';

const HOSTNAME_END = layout.SCOPE_DESCRIBED_RECORD_HOSTNAME + layout.HOSTNAME_BYTES;

export interface ScopeCreated {
  readonly type: 'created';
  readonly scope: bigint;
  /** The judged scope that the group inherits from, or the scope itself. */
  readonly containerScope: bigint;
  /** Path from the hierarchy's root, one character per byte (latin1). */
  readonly path: string;
  /** Whether only the path's tail was kept. */
  readonly isPathTruncated: boolean;
  /** What the policy map held when the group was made (enum scope_verdict). */
  readonly kernelVerdict: number;
}

export interface ScopeRemoved {
  readonly type: 'removed';
  readonly scope: bigint;
}

export interface ScopeDescribed extends ProcessInScope {
  readonly type: 'described';
}

/** A process in a namespace that has no verdict. */
export interface NamespaceMet extends ProcessInScope {
  readonly type: 'met';
}

interface ProcessInScope {
  readonly scope: bigint;
  readonly pid: number;
  readonly processStartedBootNs: bigint;
  /** Scopes of its control groups, v2 and v1; 0 = not watched. */
  readonly groups: readonly [bigint, bigint];
  /** Inode numbers in the order of the record's NS_* indices; 0 = not known. */
  readonly namespaces: Uint32Array;
  /** UTS name, one character per byte (latin1). */
  readonly hostname: string;
}

export type ScopeRecord = ScopeCreated | ScopeRemoved | ScopeDescribed | NamespaceMet;

/** Decodes one record about a scope; null when the bytes are none. The bytes aren't kept. */
export function decodeScopeRecord(bytes: Uint8Array): ScopeRecord | null {
  if (bytes.length < layout.SCOPE_REMOVED_RECORD_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (bytes[0]) {
    case layout.RECORD_SCOPE_CREATED:
      return decodeCreated(bytes, view);
    case layout.RECORD_SCOPE_REMOVED:
      return { type: 'removed', scope: view.getBigUint64(layout.SCOPE_REMOVED_RECORD_SCOPE, true) };
    case layout.RECORD_SCOPE_DESCRIBED:
      return decodeProcess('described', bytes, view);
    case layout.RECORD_NAMESPACE_MET:
      return decodeProcess('met', bytes, view);
    default:
      return null;
  }
}

function decodeCreated(bytes: Uint8Array, view: DataView): ScopeCreated | null {
  if (bytes.length < layout.SCOPE_CREATED_RECORD_BYTES) return null;
  const pathBytes = view.getUint16(layout.SCOPE_CREATED_RECORD_PATH_BYTES, true);
  const verdict = view.getUint32(layout.SCOPE_CREATED_RECORD_VERDICT, true);
  if (
    pathBytes > layout.CGROUP_PATH_BYTES_MAX ||
    layout.SCOPE_CREATED_RECORD_BYTES + pathBytes > bytes.length
  )
    return null;
  if (verdict < layout.VERDICT_IGNORE || verdict > layout.VERDICT_TRACE) return null;
  return {
    type: 'created',
    scope: view.getBigUint64(layout.SCOPE_CREATED_RECORD_SCOPE, true),
    containerScope: view.getBigUint64(layout.SCOPE_CREATED_RECORD_CONTAINER, true),
    path: latin1(bytes, layout.SCOPE_CREATED_RECORD_BYTES, layout.SCOPE_CREATED_RECORD_BYTES + pathBytes),
    isPathTruncated:
      (view.getUint16(layout.SCOPE_CREATED_RECORD_FLAGS, true) & layout.PAIR_PATH_TRUNCATED) !== 0,
    kernelVerdict: verdict,
  };
}

function decodeProcess(
  type: 'described' | 'met',
  bytes: Uint8Array,
  view: DataView,
): ScopeDescribed | NamespaceMet | null {
  if (bytes.length < HOSTNAME_END) return null;
  const namespaces = new Uint32Array(layout.NS_COUNT);
  for (let i = 0; i < layout.NS_COUNT; i++) {
    namespaces[i] = view.getUint32(layout.SCOPE_DESCRIBED_RECORD_NAMESPACES + 4 * i, true);
  }
  const nul = bytes.subarray(layout.SCOPE_DESCRIBED_RECORD_HOSTNAME, HOSTNAME_END).indexOf(0);
  const hostnameEnd = nul === -1 ? HOSTNAME_END : layout.SCOPE_DESCRIBED_RECORD_HOSTNAME + nul;
  return {
    type,
    scope: view.getBigUint64(layout.SCOPE_DESCRIBED_RECORD_SCOPE, true),
    pid: view.getUint32(layout.SCOPE_DESCRIBED_RECORD_PID, true),
    processStartedBootNs: view.getBigUint64(layout.SCOPE_DESCRIBED_RECORD_PROCESS_STARTED_BOOT_NS, true),
    groups: [
      view.getBigUint64(layout.SCOPE_DESCRIBED_RECORD_CGROUP2, true),
      view.getBigUint64(layout.SCOPE_DESCRIBED_RECORD_CGROUP1, true),
    ],
    namespaces,
    hostname: latin1(bytes, layout.SCOPE_DESCRIBED_RECORD_HOSTNAME, hostnameEnd),
  };
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end);
}
