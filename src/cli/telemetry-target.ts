// Where fdspan's telemetry goes: to the backend of the spans, by the same rules and with the same credentials. Its metrics go
// where OTEL_EXPORTER_OTLP_METRICS_* says (OTLP exporter specification, "Configuration options").
import type { Config } from '../config/config.ts';
import { endpointOf, headersOf, readInsecure } from '../config/opentelemetry-variables.ts';
import type { Problem } from '../config/problems.ts';
import { checkHeader } from '../export/check-credentials.ts';
import { Credentials } from '../export/credentials.ts';
import { isLoopbackHost, parseEndpoint } from '../export/endpoint.ts';
import type { OtlpTarget, OtlpTargets } from '../telemetry/otlp-target.ts';

const METRICS = 'OTEL_EXPORTER_OTLP_METRICS_';
const TRACES_PATH = /\/v1\/traces\/*$/;
const METRICS_PATH = '/v1/metrics';

type Environment = Readonly<Record<string, string | undefined>>;
type Protocol = OtlpTarget['protocol'];

interface MetricsSettings {
  readonly protocol: Protocol;
  /** null: where the spans go, but for the path. */
  readonly url: URL | null;
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Returns where both signals go; variables that can't be used are left out, since `metricsVariableProblems` told them. */
export function telemetryTargets(config: Pick<Config, 'export'>, environment: Environment): OtlpTargets {
  const { protocol, timeoutMs, headers, headersFile, tls } = config.export;
  const credentials = new Credentials({ headers, headersFile, tls });
  const traces: OtlpTarget = {
    protocol,
    url: tracesUrl(config.export),
    timeoutMs,
    headers: () => credentials.headers(),
    tls: () => credentials.tls(),
  };
  const { headers: own, url, ...rest } = metricsSettings(config.export, environment, []);
  const metricsUrl = url ?? derivedUrl(config.export, rest.protocol);
  const isShared = mayHaveHeaders(metricsUrl, traces.url);
  const metricsHeaders = async (): Promise<Readonly<Record<string, string>>> => ({
    ...(isShared ? await credentials.headers() : {}),
    ...own,
  });
  return { traces, metrics: { ...traces, ...rest, url: metricsUrl, headers: metricsHeaders } };
}

/** Whether the headers of the spans may go there, too: not where they could be read on a way that the spans don't take. */
function mayHaveHeaders({ protocol, hostname }: URL, spans: URL): boolean {
  if (protocol === 'https:' || isLoopbackHost(hostname)) return true;
  return hostname === spans.hostname && spans.protocol === 'http:';
}

/** Returns what is wrong with OTEL_EXPORTER_OTLP_METRICS_*, where metrics are sent. */
export function metricsVariableProblems(environment: Environment, config: Config): Problem[] {
  const { otlp, containers, pressure } = config.telemetry.metrics;
  const problems: Problem[] = [];
  if (otlp || containers || pressure) metricsSettings(config.export, environment, problems);
  return problems.filter(({ source }) => source.startsWith(METRICS));
}

function metricsSettings(
  options: Config['export'],
  environment: Environment,
  problems: Problem[],
): MetricsSettings {
  const judge = <T>(name: string, otherwise: T, read: (value: string) => T): T => {
    const value = environment[METRICS + name] ?? '';
    if (value === '') return otherwise;
    try {
      return read(value);
    } catch (error) {
      problems.push({ source: METRICS + name, key: null, message: (error as Error).message });
      return otherwise;
    }
  };
  const protocol = judge('PROTOCOL', options.protocol, readProtocol);
  const isInsecure = readInsecure(environment, problems, METRICS);
  return {
    protocol,
    url: judge(
      'ENDPOINT',
      null,
      (text) =>
        parseEndpoint(endpointOf(text, `${METRICS}ENDPOINT`, protocol, isInsecure), protocol, true).url,
    ),
    timeoutMs: judge('TIMEOUT', options.timeoutMs, readTimeout),
    headers: judge('HEADERS', {}, readHeaders),
  };
}

function readProtocol(text: string): Protocol {
  if (text === 'grpc' || text === 'http/protobuf') return text;
  throw new Error('the value must be grpc or http/protobuf');
}

function readTimeout(text: string): number {
  const timeoutMs = Number(text);
  if (Number.isSafeInteger(timeoutMs) && timeoutMs > 0) return timeoutMs;
  throw new Error('the value must be a number of milliseconds, such as 10000');
}

function readHeaders(text: string): Record<string, string> {
  const headers = headersOf(text);
  if (headers === null) throw new Error('the value must be pairs such as name=value,name=value');
  for (const [name, value] of Object.entries(headers)) {
    try {
      checkHeader(name, value);
    } catch (error) {
      throw new Error(`a header must be ${(error as Error).message}`, { cause: error });
    }
  }
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** That of the file spans. The configuration was judged: an endpoint that isn't one got no further. */
function tracesUrl({ endpoint, protocol, isEndpointExact }: Config['export']): URL {
  return parseEndpoint(endpoint, protocol, isEndpointExact).url;
}

/** The path of metrics in place of that of traces; a query stays behind it. */
function derivedUrl(options: Config['export'], protocol: Protocol): URL {
  const url = tracesUrl(options);
  if (protocol === 'grpc') return url;
  url.pathname = `${url.pathname.replace(TRACES_PATH, '').replace(/\/+$/, '')}${METRICS_PATH}`;
  return url;
}
