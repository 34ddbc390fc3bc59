// A container as the stages see it: a small number (its slot), the bytes of its Resource, and what
// the span of another namespace must be compared with. Made by containers/, stored by the pump.

/** Slot of records whose scope has no container: the host itself (only with `scope.host`). */
export const HOST_SLOT = 0;

/** What the main thread tells the pump of one container; posted as it is (structured clone). */
export interface ContainerUpdate {
  readonly slot: number;
  /** Encoded `opentelemetry.proto.resource.v1.Resource` message (its body, without tag and length). */
  readonly resourceBytes: Uint8Array;
  /** What its traces are called by; service.name. */
  readonly name?: string;
  /** Namespace inodes in the order of the record's NS_* indices; 0 = not known. */
  readonly namespaces: Uint32Array;
}

/**
 * What the main thread decided about one scope. `host`: no container's, and the host is traced. `slot` of `ignore`: of a
 * container that was traced before, else 0.
 */
export interface ScopeVerdict {
  readonly scopeLo: number;
  readonly scopeHi: number;
  readonly verdict: 'trace' | 'host' | 'ignore';
  readonly slot: number;
}
