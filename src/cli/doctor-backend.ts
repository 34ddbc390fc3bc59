// Whether the backend's port can be reached, and through which proxy. Sends nothing.
import { connect } from 'node:net';
import { hostOf, parseEndpoint, portOf } from '../export/endpoint.ts';
import { proxyFor, type Proxy, type ProxyVariables } from '../export/proxy.ts';
import { maskUrlSecrets } from '../model/url-secrets.ts';
import { ok, problem, warning, type Check } from './doctor-check.ts';

export interface Backend {
  readonly endpoint: string;
  readonly protocol: 'grpc' | 'http/protobuf';
}

const CONNECT_DEADLINE_MS = 3000;

/** Tells of the proxy, where there is one, and of the port only when it is to be tried. */
export async function checkBackend(
  { endpoint, protocol }: Backend,
  variables: ProxyVariables,
  isTried: boolean,
): Promise<Check[]> {
  const proxy = proxyOf({ endpoint, protocol }, variables);
  const checks = proxy === null ? [] : [proxyCheck(proxy)];
  if (!isTried || proxy?.url === null) return checks;
  return [...checks, await portCheck(endpoint, proxy)];
}

function proxyOf({ endpoint, protocol }: Backend, variables: ProxyVariables): Proxy | null {
  try {
    return proxyFor(parseEndpoint(endpoint, protocol), protocol, variables);
  } catch {
    // What is wrong with the endpoint is told by the port's check, or that of the configuration.
    return null;
  }
}

function proxyCheck({ url, display }: Proxy): Check {
  if (url !== null) return ok('proxy', `spans go through that of ${display}`);
  const cure = 'Write http://host:port, or clear the variable; NO_PROXY leaves hosts out.';
  return problem('proxy', 'configuration', `${display} is no address of a proxy`, cure);
}

/** What is connected to is the proxy, where there is one. */
async function portCheck(endpoint: string, proxy: Proxy | null): Promise<Check> {
  const name = 'backend';
  const url = proxy?.url ?? (URL.canParse(endpoint) ? new URL(endpoint) : null);
  const shown = proxy === null ? maskUrlSecrets(endpoint) : `the proxy of ${proxy.display}`;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    const cure = 'Give export.endpoint as http://host:port or https://host:port.';
    return problem(name, 'configuration', shown, cure);
  }
  const failure = await tryConnect(hostOf(url), Number(portOf(url)));
  if (failure === null) return ok(name, `${shown} accepts connections`);
  const cure =
    'Start the backend or correct export.endpoint; fdspan itself starts without it and keeps trying.';
  return warning(name, `${shown}: ${failure}`, cure);
}

function tryConnect(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (failure: string | null): void => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(failure);
    };
    const deadline = setTimeout(() => finish(`no answer in ${CONNECT_DEADLINE_MS} ms`), CONNECT_DEADLINE_MS);
    socket.once('connect', () => finish(null));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}
