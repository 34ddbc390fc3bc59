// Whether the backend's port can be reached, and through which proxy. Sends nothing.
import { connect } from 'node:net';
import { EndpointError, hostOf, parseEndpoint, portOf, type Endpoint } from '../export/endpoint.ts';
import { proxyFor, type Proxy, type ProxyVariables } from '../export/proxy.ts';
import { ok, problem, warning, type Check } from './doctor-check.ts';

export interface Backend {
  readonly endpoint: string;
  readonly protocol: 'grpc' | 'http/protobuf';
  /** Whether the path is to be taken as it is. */
  readonly isEndpointExact?: boolean;
}

const CONNECT_DEADLINE_MS = 3000;

/** Tells of the proxy, where there is one, and of the port only when it is to be tried. */
export async function checkBackend(
  { endpoint, protocol, isEndpointExact }: Backend,
  variables: ProxyVariables,
  isTried: boolean,
): Promise<Check[]> {
  let parsed: Endpoint;
  try {
    parsed = parseEndpoint(endpoint, protocol, isEndpointExact);
  } catch (error) {
    if (!(error instanceof EndpointError)) throw error;
    return [problem('backend', 'configuration', error.message, 'Correct export.endpoint.')];
  }
  const proxy = proxyFor(parsed, protocol, variables);
  const checks = proxy === null ? [] : [proxyCheck(proxy)];
  if (!isTried || proxy?.url === null) return checks;
  return [...checks, await portCheck(parsed, proxy)];
}

function proxyCheck({ url, display }: Proxy): Check {
  if (url !== null) return ok('proxy', `spans go through that of ${display}`);
  const cure = 'Write http://host:port, or clear the variable; NO_PROXY leaves hosts out.';
  return problem('proxy', 'configuration', `${display} is no address of a proxy`, cure);
}

/** What is connected to is the proxy, where there is one. */
async function portCheck(endpoint: Endpoint, proxy: Proxy | null): Promise<Check> {
  const name = 'backend';
  const url = proxy?.url ?? endpoint.url;
  const shown = proxy === null ? endpoint.display : `the proxy of ${proxy.display}`;
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
