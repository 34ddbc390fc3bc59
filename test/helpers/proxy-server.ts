// A proxy as squid or mitmproxy are one: it forwards requests with a whole address in their first line, and opens tunnels by
// CONNECT. Whatever host it is asked for, it goes to loopback.
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import type { TLSSocket } from 'node:tls';

export interface ProxyServer {
  readonly port: number;
  /** `METHOD target` of each, in order. */
  readonly asked: readonly string[];
  /** The names that clients asked for in TLS, in order; false: for none. */
  readonly names: readonly (string | false)[];
  /** Connections that are open, of clients and to the backend. */
  readonly connections: number;
  close(): Promise<void>;
}

/** `user:password`: others are answered with 407. With `tls` the proxy itself is reached by https. */
export async function startProxy(
  credentials: string | null = null,
  port = 0,
  tls: https.ServerOptions | null = null,
): Promise<ProxyServer> {
  const asked: string[] = [];
  const names: (string | false)[] = [];
  const sockets = new Set<net.Socket>();
  const hold = (socket: net.Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  };
  const expected = credentials === null ? null : `Basic ${Buffer.from(credentials).toString('base64')}`;
  const isRefused = ({ headers }: http.IncomingMessage): boolean =>
    expected !== null && headers['proxy-authorization'] !== expected;
  const server = tls === null ? http.createServer() : https.createServer(tls);
  server.on('secureConnection', (socket: TLSSocket) => names.push(socket.servername ?? false));
  server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
    asked.push(`${request.method} ${request.url}`);
    if (isRefused(request)) return void response.writeHead(407).end();
    const target = new URL(request.url ?? '');
    const { 'proxy-authorization': _own, ...headers } = request.headers;
    const onwards = http.request(
      { host: '127.0.0.1', port: target.port, path: target.pathname, method: request.method, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onwards.on('error', () => response.writeHead(502).end());
    request.pipe(onwards);
  });
  server.on('connect', (request: http.IncomingMessage, socket: net.Socket, first: Buffer) => {
    asked.push(`CONNECT ${request.url}`);
    socket.on('error', () => undefined);
    if (isRefused(request)) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const target = net.connect(Number(/:(\d+)$/.exec(request.url ?? '')?.[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.write(first);
      socket.pipe(target).pipe(socket);
    });
    hold(target);
    target.on('error', () => socket.destroy());
    socket.on('close', () => target.destroy());
  });
  server.on('connection', hold);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    asked,
    names,
    get connections() {
      return sockets.size;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
