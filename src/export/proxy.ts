// Proxies between fdspan and the backend, by the variables that every program reads: HTTPS_PROXY, HTTP_PROXY and NO_PROXY,
// small letters first. How a host is left out is as in Go's and so in the OpenTelemetry Collector.
import * as http from 'node:http';
import * as https from 'node:https';
import { BlockList, isIP, type Socket } from 'node:net';
import { hostOf, portOf, type Endpoint } from './endpoint.ts';
import type { ExportOptions } from './export-options.ts';

const NO_CONNECTION = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/;

export type ProxyVariables = Readonly<Record<string, string | undefined>>;

export interface Proxy {
  /** null: the variable's value is no address of a proxy; nothing can be sent. */
  readonly url: URL | null;
  /** Of `proxy-authorization`. */
  readonly headers: Readonly<Record<string, string>>;
  /** For logs: the variable, and the proxy's address without user and password. */
  readonly display: string;
}

/** Something is wrong with the proxy or the way to it. */
export class ProxyError extends Error {
  readonly code = 'PROXY';
}

/**
 * Returns the proxy for an endpoint; null: there is none, or the endpoint is left out. Loopback always is. gRPC is sent
 * through HTTPS_PROXY first, whatever the scheme, as gRPC's own libraries do.
 */
export function proxyFor(
  endpoint: Endpoint,
  protocol: ExportOptions['protocol'],
  variables: ProxyVariables,
): Proxy | null {
  const { isSecure, isLoopback, url } = endpoint;
  const names = isSecure ? ['https'] : protocol === 'grpc' ? ['https', 'http'] : ['http'];
  const name = names.map((each) => `${each}_proxy`).find((each) => read(variables, each) !== '');
  if (name === undefined || isLoopback || isLeftOut(url, read(variables, 'no_proxy'))) return null;
  const value = read(variables, name);
  const display = name.toUpperCase();
  const proxy = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (proxy === null || !/^https?:$/.test(proxy.protocol)) return { url: null, headers: {}, display };
  return {
    url: proxy,
    headers: authorization(proxy),
    display: `${display} ${proxy.protocol}//${proxy.host}`,
  };
}

/** Opens a connection to the endpoint through the proxy. Rejects with a ProxyError. */
export function openTunnel(proxy: Proxy, endpoint: URL, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const path = `${endpoint.hostname}:${portOf(endpoint)}`;
    const fail = (error: Error): void => reject(throughProxy(proxy, error));
    let request: http.ClientRequest;
    try {
      const { request: open, hop } = hopTo(proxy);
      request = open({ ...hop, method: 'CONNECT', path, agent: false, signal });
      request.setHeader('host', path);
    } catch (error) {
      fail(error as Error);
      return;
    }
    request.on('error', fail);
    request.on('connect', ({ statusCode = 0 }, socket: Socket, first: Buffer) => {
      if (statusCode === 200) {
        if (first.length > 0) socket.unshift(first);
        resolve(socket);
        return;
      }
      socket.destroy();
      fail(new Error(`it answers CONNECT with HTTP ${statusCode}`));
    });
    request.end();
  });
}

/** Returns how the proxy itself is reached. Throws where the variable's value is no address. */
export function hopTo({ url, headers, display }: Proxy): {
  readonly request: typeof http.request;
  readonly hop: https.RequestOptions;
} {
  if (url === null) throw new ProxyError(`${display} is no address of a proxy: write http://host:port`);
  const { protocol } = url;
  const hostname = hostOf(url);
  // Of TLS to the proxy: without it the name would be that of the host header, which is the backend's. An address is none.
  const servername = isIP(hostname) === 0 ? hostname : '';
  return {
    request: protocol === 'https:' ? https.request : http.request,
    hop: { protocol, hostname, servername, port: portOf(url), headers },
  };
}

/** Returns the error with the proxy's name, so that nobody looks for the fault at the backend. */
export function throughProxy(proxy: Proxy, error: Error): ProxyError {
  if (error instanceof ProxyError) return error;
  const { message, code = '' } = error as NodeJS.ErrnoException;
  return new ProxyError(`through the proxy of ${proxy.display}: ${message || code}`);
}

/** Of a request that the proxy forwards: what fails before it is sent is the way to the proxy, not to the backend. */
export function asProxys(proxy: Proxy, error: Error): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  return NO_CONNECTION.test(code) ? throughProxy(proxy, error) : error;
}

function read(variables: ProxyVariables, name: string): string {
  return (variables[name] || variables[name.toUpperCase()] || '').trim();
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const text = `${decoded(username)}:${decoded(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** NO_PROXY: names (with all below them; `.name`: only those below), addresses, networks, each with a port or without; `*`: all. */
function isLeftOut(endpoint: URL, list: string): boolean {
  const host = hostOf(endpoint).toLowerCase();
  const port = portOf(endpoint);
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const [, bracketed, plain, asked] = /^(?:\[(.*)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? [];
  const name = bracketed ?? plain ?? entry;
  if (asked !== undefined && asked !== port) return false;
  if (isIP(host) !== 0) return name === host || isInNetwork(name, host);
  if (name.startsWith('*.') || name.startsWith('.')) return host.endsWith(name.replace(/^\*/, ''));
  return name === host || host.endsWith(`.${name}`);
}

function isInNetwork(network: string, address: string): boolean {
  const [, base, bits] = /^(.+)\/(\d{1,3})$/.exec(network) ?? [];
  if (base === undefined || isIP(base) !== isIP(address)) return false;
  const family = isIP(base) === 4 ? 'ipv4' : 'ipv6';
  if (Number(bits) > (family === 'ipv4' ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(base, Number(bits), family);
  return list.check(address, family);
}
