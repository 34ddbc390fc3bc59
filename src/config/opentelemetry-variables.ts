// The OTEL_EXPORTER_OTLP_* variables of the OpenTelemetry specification ("OTLP exporter", configuration
// options), as settings of fdspan's keys.
import { cut, type Problem } from './problems.ts';
import type { Setting } from './setting.ts';

const BASE = 'OTEL_EXPORTER_OTLP_';
const TRACES = 'OTEL_EXPORTER_OTLP_TRACES_';
const TRACES_PATH = '/v1/traces';

const PLAIN: Readonly<Record<string, string>> = {
  PROTOCOL: 'export.protocol',
  ENDPOINT: 'export.endpoint',
  COMPRESSION: 'export.compression',
  CERTIFICATE: 'export.tls.ca',
  CLIENT_CERTIFICATE: 'export.tls.cert',
  CLIENT_KEY: 'export.tls.key',
};

/** Returns the settings in order of precedence, weakest first. An empty variable counts as unset. */
export function settingsOfOpenTelemetry(env: NodeJS.ProcessEnv, problems: Problem[]): Setting[] {
  return [BASE, TRACES].flatMap((prefix) => settingsOf(env, prefix, problems));
}

function settingsOf(env: NodeJS.ProcessEnv, prefix: string, problems: Problem[]): Setting[] {
  const settings: Setting[] = [];
  const read = (name: string, key: string, change: (value: string) => unknown, form: string): void => {
    const value = env[prefix + name];
    if (value === undefined || value === '') return;
    const used = change(value);
    if (used !== null) settings.push({ key, value: used, origin: prefix + name });
    else problems.push({ source: prefix + name, key: null, message: `the value must be ${form}` });
  };
  for (const [name, key] of Object.entries(PLAIN)) read(name, key, (value) => value, 'text');
  const timeout = (value: string): string | null => (/^\d+$/.test(value) ? `${value}ms` : null);
  read('TIMEOUT', 'export.timeout', timeout, 'a number of milliseconds, such as 10000');
  read('HEADERS', 'export.headers', headersOf, 'pairs such as name=value,name=value');
  return settings;
}

/** `a=1,b=x%20y`: W3C Baggage's form, values percent-encoded. Null for another form. */
export function headersOf(value: string): Record<string, string> | null {
  const pairs = value
    .split(',')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '');
  if (pairs.some((pair) => pair.indexOf('=') < 1)) return null;
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())];
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

/** Returns what the INSECURE variables say, the signal's own being the stronger: false where they say nothing. */
export function readInsecure(env: NodeJS.ProcessEnv, problems: Problem[], signal = TRACES): boolean {
  let isInsecure = false;
  for (const name of [`${BASE}INSECURE`, `${signal}INSECURE`]) {
    const value = env[name] ?? '';
    if (value === '') continue;
    isInsecure = value.toLowerCase() === 'true';
    if (!isInsecure && value.toLowerCase() !== 'false') {
      const message = `${cut(JSON.stringify(value))} must be true or false`;
      problems.push({ source: name, key: null, message });
    }
  }
  return isInsecure;
}

/**
 * Returns the endpoint that is meant, once the protocol is known whatever source said it: a base endpoint gets
 * the path of traces for http/protobuf, and one of grpc without a scheme gets what INSECURE says. The default is
 * the port that the protocol has by convention.
 */
export function endpointOf(endpoint: string, origin: string, protocol: string, isInsecure: boolean): string {
  const hasScheme = /^\s*[a-z][a-z0-9+.-]*:\/\//i.test(endpoint);
  if (protocol === 'grpc') return isInsecure && !hasScheme ? `http://${endpoint.trim()}` : endpoint;
  if (origin === 'default') return endpoint.replace(/:4317$/, ':4318');
  if (origin !== `${BASE}ENDPOINT`) return endpoint;
  const [, base, rest] = /^([^?#]*)(.*)$/s.exec(endpoint.trim())!;
  return `${base.replace(/\/+$/, '')}${TRACES_PATH}${rest}`;
}

/** The endpoint of traces alone is used as it is: without a path the root is meant. */
export function isExactEndpoint(origin: string): boolean {
  return origin === `${TRACES}ENDPOINT`;
}
