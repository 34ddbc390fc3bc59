// What the collector is made of.
import type { Config } from './config/config.ts';
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
