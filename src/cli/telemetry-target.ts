// Where fdspan's telemetry goes unless its own variables say otherwise: the backend of the spans.
import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import type { OtlpTarget } from '../telemetry/otlp-exporters.ts';

/** Reads the certificates, too. Throws when one can't be read. */
export function telemetryTarget(config: Config): OtlpTarget {
  const read = (path: string | null): Buffer | null => (path === null ? null : readFileSync(path));
  const { ca, cert, key } = config.export.tls;
  return { ...config.export, tls: { ca: read(ca), cert: read(cert), key: read(key) } };
}
