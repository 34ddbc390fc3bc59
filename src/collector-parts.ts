// What the collector is made of.
import type { Tracer } from './bpf/tracer.ts';
import type { CgroupHierarchy } from './containers/cgroup-mounts.ts';
import type { HostNamespaces } from './containers/namespaces.ts';
import type { ScopeChoice } from './containers/scope-choice.ts';
import type { Config } from './config/config.ts';
import type { Attributes } from './model/attributes.ts';
import type { RequestSink } from './request-sink.ts';
import type { Logger } from './telemetry/log.ts';

export interface CollectorParts {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly makeSink: (counters: Float64Array) => RequestSink;
  /** Sees each sealed request before the sink does; must not keep the bytes. */
  readonly tap?: (request: Uint8Array) => void;
}

/** What the start finds out before the collector is made. */
export interface Found {
  readonly tracer: Tracer;
  readonly scope: ScopeChoice;
  readonly host: Attributes;
  readonly hierarchies: readonly CgroupHierarchy[];
  readonly hostNamespaces: HostNamespaces;
}
