// What the export stage gets from the composition root: where to send, how, and within which bounds.

/** The names of `export.compression`. `auto` is none on loopback, else zstd. */
export type Compression = 'auto' | 'none' | 'gzip' | 'zstd';

export interface TlsPaths {
  /** PEM files; null: the system's authorities, no client certificate. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

export interface ExportOptions {
  readonly protocol: 'grpc' | 'http/protobuf';
  /** A URL, or `host:port`, which means https as in the OTLP exporter specification ("insecure" defaults to false). */
  readonly endpoint: string;
  /** For http/protobuf: an endpoint without a path means the root, not /v1/traces. */
  readonly isEndpointExact?: boolean;
  readonly compression: Compression;
  readonly headers: Readonly<Record<string, string>>;
  /** File of `Name: value` lines that win over `headers`; read again when it changes and after a 401. */
  readonly headersFile: string | null;
  readonly tls: TlsPaths;
  /** Deadline of one request, from its start to the end of its answer. */
  readonly timeoutMs: number;
  /** Compressed bytes that may wait; above it the oldest request is dropped as `queue_full`. */
  readonly queueBytesMax: number;
  readonly requestsInFlightMax: number;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in capitals or small letters; absent: no proxy. */
  readonly proxyVariables?: Readonly<Record<string, string | undefined>>;
  readonly userAgent: string;
  /** A request is given up as `retries_exhausted` when it was tried for this long; 0 or absent: never. */
  readonly retryElapsedMaxMs?: number;
  /** Wait after a first failure, and at most; jittered by half. */
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number };
}

/** The wait between tries: short enough for a restarted backend, long enough for a fleet of collectors. */
export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 30_000;

/** The part of the program's log that this stage writes to. */
export interface ExportLog {
  info(message: string, fields: Record<string, unknown>): void;
  warn(message: string, fields: Record<string, unknown>): void;
  error(message: string, fields: Record<string, unknown>): void;
}
