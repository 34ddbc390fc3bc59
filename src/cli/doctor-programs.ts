// What fdspan itself needs to run: Node, the native libraries, the attach modes, and the backend.
import { maskUrlSecrets } from '../model/url-secrets.ts';
import { connect } from 'node:net';
import type { Config } from '../config/config.ts';
import { EndpointError, parseEndpoint } from '../export/endpoint.ts';
import { proxyFor, type Proxy } from '../export/proxy.ts';
import { ok, problem, warning, type Check } from './doctor-check.ts';

export interface AttachModeFinding {
  readonly mode: 'tracepoint' | 'fentry';
  readonly usable: boolean;
  readonly detail: string;
}

export interface AttachOptions {
  readonly btfPath: string | null;
  readonly reads: 'auto' | 'cast' | 'probe';
}

/** Tries to load and attach one small program of each mode; null where it can't be tried. */
export type ProbeAttachModes = (options: AttachOptions) => Promise<readonly AttachModeFinding[]>;

const NODE_MAJOR_MIN = 22;
const NODE_MINOR_MIN = 18;

/** Tells whether Node is new enough (package.json's `engines`). */
export function checkNode(version: string): Check {
  const [major, minor] = version.split('.').map(Number);
  if (major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN))
    return ok('node', version);
  const cure = `Use Node ${NODE_MAJOR_MIN}.${NODE_MINOR_MIN} or newer; bin/fdspan finds the one that npm installed.`;
  return problem('node', 'configuration', version, cure);
}

/** Tells whether native functions can be called: koffi loads, and finds libbpf. */
export async function checkLibraries(): Promise<Check[]> {
  const cure = 'Run npm ci on this machine: the native part of koffi was built for another one.';
  try {
    const { default: koffi } = await import('koffi');
    const checks = [ok('koffi', koffi.version)];
    checks.push(libbpfCheck(koffi));
    return checks;
  } catch (error) {
    return [problem('koffi', 'configuration', `loading: ${(error as Error).message}`, cure)];
  }
}

function libbpfCheck(koffi: typeof import('koffi').default): Check {
  const name = 'libbpf';
  try {
    const library = koffi.load('libbpf.so.1');
    const version = library.func('const char *libbpf_version_string(void)')() as string;
    return ok(name, version);
  } catch (error) {
    const cure = 'Install libbpf 1.0 or newer (Debian: apt-get install libbpf1).';
    return problem(name, 'configuration', `libbpf.so.1: ${(error as Error).message}`, cure);
  }
}

/** Tells which attach modes work here, and which `attach: auto` would take. */
export async function checkAttachModes(
  probe: ProbeAttachModes | null,
  options: AttachOptions,
): Promise<Check> {
  const name = 'attach';
  if (probe === null)
    return warning(name, 'not tried: the probe is missing', 'Build fdspan, then run doctor again.');
  let findings: readonly AttachModeFinding[];
  try {
    findings = await probe(options);
  } catch (error) {
    return problem(name, 'kernel', `trying: ${(error as Error).message}`, 'Cure the problems above first.');
  }
  const detail = findings.map(
    ({ mode, usable, detail: why }) => `${mode} ${usable ? 'works' : 'does not work'} (${why})`,
  );
  const taken = (['fentry', 'tracepoint'] as const).find((mode) =>
    findings.some((it) => it.mode === mode && it.usable),
  );
  if (taken === undefined) {
    const cure = 'Cure the problems above first; a policy of the host may also refuse BPF programs.';
    return problem(name, 'kernel', detail.join('; '), cure);
  }
  return ok(name, `auto takes ${taken}: ${detail.join('; ')}`);
}

type Protocol = Config['export']['protocol'];

const CONNECT_DEADLINE_MS = 3000;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** Tells whether the backend's port, or that of the proxy on the way to it, accepts a TCP connection. Sends nothing. */
export async function checkBackend(
  endpoint: string,
  protocol: Protocol = 'grpc',
  environment: NodeJS.ProcessEnv = {},
): Promise<Check> {
  const name = 'backend';
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const shown = maskUrlSecrets(endpoint);
  const port = url === null ? 0 : Number(url.port) || DEFAULT_PORTS[url.protocol];
  if (url === null || !port) {
    return problem(
      name,
      'configuration',
      shown,
      'Give export.endpoint as http://host:port or https://host:port.',
    );
  }
  const proxy = proxyOf(endpoint, protocol, environment);
  if (proxy !== null) return checkProxy(proxy, shown);
  // URL keeps the brackets of an IPv6 address; connect wants it without.
  const failure = await tryConnect(url.hostname.replace(/^\[|\]$/g, ''), port);
  if (failure === null) return ok(name, `${shown} accepts connections`);
  const cure =
    'Start the backend or correct export.endpoint; fdspan itself starts without it and keeps trying.';
  return warning(name, `${shown}: ${failure}`, cure);
}

async function checkProxy(proxy: Proxy, backend: string): Promise<Check> {
  const cure = 'Correct HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY; fdspan starts all the same.';
  const { url, display } = proxy;
  if (url === null) return warning('backend', `${display} is no address of a proxy`, cure);
  const port = Number(url.port) || DEFAULT_PORTS[url.protocol];
  const failure = await tryConnect(url.hostname.replace(/^\[|\]$/g, ''), port);
  if (failure !== null) return warning('backend', `the proxy of ${display}: ${failure}`, cure);
  return ok('backend', `the proxy of ${display} accepts connections; ${backend} behind it wasn't asked`);
}

function proxyOf(endpoint: string, protocol: Protocol, environment: NodeJS.ProcessEnv): Proxy | null {
  try {
    return proxyFor(parseEndpoint(endpoint, protocol), protocol, environment);
  } catch (error) {
    // Such an endpoint is told by the check of the configuration.
    if (error instanceof EndpointError) return null;
    throw error;
  }
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
