// Where fdspan's telemetry of itself goes, as the composition root found it: the stage reads no configuration.

/** PEM; what is left out is the system's authorities, and no certificate of ours. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Where one signal goes. */
export interface OtlpTarget {
  readonly protocol: 'grpc' | 'http/protobuf';
  /** Of each request; for grpc its host and port count. TLS is for `https:`. */
  readonly url: URL;
  readonly timeoutMs: number;
  /** As they are now; asked before each request. May reject. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  /** As they are now: the same object until one of them changes. May reject. */
  readonly tls: () => Promise<TlsFiles>;
}

export interface OtlpTargets {
  readonly metrics: OtlpTarget;
  readonly traces: OtlpTarget;
}
