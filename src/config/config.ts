// What the code gets of the configuration, in its own units: milliseconds, bytes.
import type { RedactRule } from '../model/redaction.ts';

/** A ratio for the opens that agree with all that the rule names. */
export interface SamplingRule {
  readonly container?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly access?: 'read' | 'write' | 'read_write';
  /** Of the executable's name. */
  readonly process?: string;
  readonly ratio: number;
}

export interface Config {
  readonly kernel: { readonly btf: string | null; readonly reads: 'auto' | 'cast' | 'probe' };
  readonly scope: {
    readonly by: 'auto' | 'cgroup2' | 'cgroup1' | 'mntns' | 'pidns';
    readonly cgroup1Hierarchy: string;
    readonly host: boolean;
    readonly adoptOpen: boolean;
  };
  readonly containers: {
    readonly allow: readonly Readonly<Record<string, string>>[];
    readonly deny: readonly Readonly<Record<string, string>>[];
    readonly runtimePhase: boolean;
    /** `auto`, or by runtime what differs from it: `auto`, `off` or paths of sockets. */
    readonly runtimes: 'auto' | Readonly<Record<string, 'auto' | 'off' | readonly string[]>>;
    readonly labels: readonly string[];
    readonly keepAfterExitMs: number;
  };
  readonly files: {
    readonly types: readonly string[];
    readonly excludeFilesystems: readonly string[];
    readonly exclude: readonly string[];
    readonly include: readonly string[];
    /** Empty: all. */
    readonly access: readonly string[];
    readonly redact: readonly RedactRule[];
    readonly redactKey: string | null;
  };
  readonly processes: {
    readonly exclude: readonly string[];
    /** Empty: all. */
    readonly users: readonly { readonly first: number; readonly last: number }[];
  };
  readonly spans: {
    readonly attributes: 'lean' | 'standard' | 'full';
    readonly name: 'template' | 'operation';
    readonly namesMax: number;
    readonly minDurationMs: number;
    readonly failedOpens: readonly string[];
    readonly held: { readonly afterMs: number; readonly everyMs: number };
    readonly ioTotals: boolean;
  };
  readonly sampling: {
    /** Share of opens, 0 to 1, where no rule matches. */
    readonly ratio: number;
    readonly rules: readonly SamplingRule[];
    readonly keep: readonly ('failed' | 'held' | 'slow')[];
    readonly slowAfterMs: number;
    /** Spans a second; 0: none. */
    readonly target: { readonly container: number; readonly host: number };
    readonly limit: { readonly host: number };
  };
  readonly trace: {
    readonly groupBy: 'process' | 'container';
    readonly windowMs: number;
    readonly spansMax: number;
  };
  readonly export: {
    readonly protocol: 'grpc' | 'http/protobuf';
    readonly endpoint: string;
    /** Without a path the root is meant, not /v1/traces. */
    readonly isEndpointExact: boolean;
    readonly compression: 'auto' | 'none' | 'gzip' | 'zstd';
    readonly headers: Readonly<Record<string, string>>;
    readonly headersFile: string | null;
    readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null };
    readonly timeoutMs: number;
    readonly queue: { readonly bytesMax: number; readonly requestsInFlight: number };
    readonly spool: { readonly dir: string | null; readonly bytesMax: number };
  };
  readonly resource: Readonly<Record<string, string>>;
  readonly telemetry: {
    readonly metrics: {
      readonly otlp: boolean;
      readonly containers: boolean;
      readonly pressure: boolean;
      /** Host null: every address, IPv6 where the host has it, and IPv4. */
      readonly prometheus: { readonly host: string | null; readonly port: number } | null;
    };
    readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  };
  readonly control: { readonly socket: string; readonly stateFile: string | null };
  readonly limits: {
    readonly openFiles: number;
    readonly ring: number;
    readonly containers: number;
    readonly waitingRecords: number;
    readonly metadataWaitMs: number;
    readonly stopDeadlineMs: number;
    readonly stopSpans: number;
  };
}
