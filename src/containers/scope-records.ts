// Decodes the ring's records about scopes (bpf/record.h) for the main thread. Any bytes may come:
// what isn't a whole record gives null.

const KIND_SCOPE_CREATED = 2;
const KIND_SCOPE_REMOVED = 3;
const KIND_SCOPE_DESCRIBED = 4;

/** Byte offsets of bpf/record.h; all numbers are little-endian. */
const SCOPE_OFFSET = 8;
const CREATED = { pathBytes: 4, flags: 6, container: 16, verdict: 24, path: 32 } as const;
const REMOVED_BYTES = 16;
const DESCRIBED = { pid: 4, startedBootNs: 16, namespaces: 24, hostname: 56, end: 120 } as const;
const NAMESPACE_COUNT = 7;
const CGROUP_PATH_BYTES_MAX = 4096;
const VERDICT_MIN = 1;
const VERDICT_MAX = 4;
const FLAG_PATH_TRUNCATED = 1;

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

export interface ScopeDescribed {
  readonly type: 'described';
  readonly scope: bigint;
  readonly pid: number;
  readonly processStartedBootNs: bigint;
  /** Inode numbers in the order of the record's NS_* indices; 0 = not known. */
  readonly namespaces: Uint32Array;
  /** UTS name, one character per byte (latin1). */
  readonly hostname: string;
}

export type ScopeRecord = ScopeCreated | ScopeRemoved | ScopeDescribed;

/** Decodes one record about a scope; null when the bytes are none. The bytes aren't kept. */
export function decodeScopeRecord(bytes: Uint8Array): ScopeRecord | null {
  if (bytes.length < REMOVED_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (bytes[0]) {
    case KIND_SCOPE_CREATED:
      return decodeCreated(bytes, view);
    case KIND_SCOPE_REMOVED:
      return { type: 'removed', scope: view.getBigUint64(SCOPE_OFFSET, true) };
    case KIND_SCOPE_DESCRIBED:
      return decodeDescribed(bytes, view);
    default:
      return null;
  }
}

function decodeCreated(bytes: Uint8Array, view: DataView): ScopeCreated | null {
  if (bytes.length < CREATED.path) return null;
  const pathBytes = view.getUint16(CREATED.pathBytes, true);
  const verdict = view.getUint32(CREATED.verdict, true);
  if (pathBytes > CGROUP_PATH_BYTES_MAX || CREATED.path + pathBytes > bytes.length) return null;
  if (verdict < VERDICT_MIN || verdict > VERDICT_MAX) return null;
  return {
    type: 'created',
    scope: view.getBigUint64(SCOPE_OFFSET, true),
    containerScope: view.getBigUint64(CREATED.container, true),
    path: latin1(bytes, CREATED.path, CREATED.path + pathBytes),
    isPathTruncated: (view.getUint16(CREATED.flags, true) & FLAG_PATH_TRUNCATED) !== 0,
    kernelVerdict: verdict,
  };
}

function decodeDescribed(bytes: Uint8Array, view: DataView): ScopeDescribed | null {
  if (bytes.length < DESCRIBED.end) return null;
  const namespaces = new Uint32Array(NAMESPACE_COUNT);
  for (let i = 0; i < NAMESPACE_COUNT; i++) {
    namespaces[i] = view.getUint32(DESCRIBED.namespaces + 4 * i, true);
  }
  const nul = bytes.subarray(DESCRIBED.hostname, DESCRIBED.end).indexOf(0);
  const hostnameEnd = nul === -1 ? DESCRIBED.end : DESCRIBED.hostname + nul;
  return {
    type: 'described',
    scope: view.getBigUint64(SCOPE_OFFSET, true),
    pid: view.getUint32(DESCRIBED.pid, true),
    processStartedBootNs: view.getBigUint64(DESCRIBED.startedBootNs, true),
    namespaces,
    hostname: latin1(bytes, DESCRIBED.hostname, hostnameEnd),
  };
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end);
}
