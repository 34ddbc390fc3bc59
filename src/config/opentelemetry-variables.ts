// The OTEL_EXPORTER_OTLP_* variables of the OpenTelemetry specification, as settings of fdspan's keys.

/** One value for one key, and where it was said. */
export interface Setting {
  readonly key: string;
  readonly value: unknown;
  readonly origin: string;
}

const PLAIN: Readonly<Record<string, string>> = {
  PROTOCOL: 'export.protocol',
  COMPRESSION: 'export.compression',
  CERTIFICATE: 'export.tls.ca',
  CLIENT_CERTIFICATE: 'export.tls.cert',
  CLIENT_KEY: 'export.tls.key',
};

/** Returns the settings in order of precedence, weakest first. An empty variable counts as unset. */
export function settingsOfOpenTelemetry(env: NodeJS.ProcessEnv): Setting[] {
  return ['OTEL_EXPORTER_OTLP_', 'OTEL_EXPORTER_OTLP_TRACES_'].flatMap((prefix) => settingsOf(env, prefix));
}

function settingsOf(env: NodeJS.ProcessEnv, prefix: string): Setting[] {
  const settings: Setting[] = [];
  const read = (name: string, key: string, change: (value: string) => unknown): void => {
    const value = env[prefix + name];
    if (value !== undefined && value !== '')
      settings.push({ key, value: change(value), origin: prefix + name });
  };
  for (const [name, key] of Object.entries(PLAIN)) read(name, key, (value) => value);
  read('ENDPOINT', 'export.endpoint', (value) => {
    const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL;
    const isBase = prefix === 'OTEL_EXPORTER_OTLP_' && protocol === 'http/protobuf';
    return isBase ? `${value.replace(/\/$/, '')}/v1/traces` : value;
  });
  read('TIMEOUT', 'export.timeout', (value) => `${value}ms`);
  read('HEADERS', 'export.headers', headersOf);
  return settings;
}

/** `a=1,b=x%20y`: W3C Baggage's form, values percent-encoded. */
function headersOf(value: string): unknown {
  const pairs = value
    .split(',')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '');
  if (pairs.some((pair) => !pair.includes('='))) return value;
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      const written = pair.slice(at + 1).trim();
      return [pair.slice(0, at).trim(), URL.canParse(`x:${written}`) ? decoded(written) : written];
    }),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
