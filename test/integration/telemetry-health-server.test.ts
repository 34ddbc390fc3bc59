// The metrics port to clients that mean no good: raw sockets over loopback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test, type TestContext } from 'node:test';
import { Health } from '../../src/telemetry/health.ts';
import { CONNECTIONS_MAX, HealthServer } from '../../src/telemetry/health-server.ts';

async function start(t: TestContext): Promise<{ server: HealthServer; port: number; warnings: unknown[] }> {
  const warnings: unknown[] = [];
  const server = await HealthServer.listen({
    host: '127.0.0.1',
    port: 0,
    health: new Health(),
    onWarning: (_message, error) => warnings.push(error),
  });
  t.after(() => server.close());
  return { server, port: Number(server.address.split(':').at(-1)), warnings };
}

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** All that the server says until it closes. */
async function answer(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  if (!socket.closed) await once(socket, 'close');
  return text;
}

async function say(t: TestContext, port: number, request: string): Promise<string> {
  const socket = await open(t, port);
  socket.write(request);
  return answer(socket);
}

test('it listens where it was told to, and nowhere else', async (t) => {
  const { server, port } = await start(t);
  assert.equal(server.address, `127.0.0.1:${port}`);
  const socket = connect(port, '127.0.0.2');
  await assert.rejects(once(socket, 'connect'), /ECONNREFUSED/);
});

test('without an address it answers by IPv4 and, where there is IPv6, by that', async (t) => {
  const server = await HealthServer.listen({
    host: null,
    port: 0,
    health: new Health(),
    onWarning: () => {},
  });
  t.after(() => server.close());
  const port = server.address.split(':').at(-1);
  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === '::1'),
  );
  for (const host of ['127.0.0.1', ...(hasIpv6 ? ['[::1]'] : [])])
    assert.equal((await fetch(`http://${host}:${port}/none`)).status, 404, host);
});

test('metrics come once they are there, and clients in a loop cost one collection', async (t) => {
  const { server, port } = await start(t);
  const url = `http://127.0.0.1:${port}/metrics`;
  assert.equal((await fetch(url)).status, 503);
  let collections = 0;
  server.serveMetrics(() => Promise.resolve(`collection ${++collections}`));
  const began = performance.now();
  const texts = await Promise.all(Array.from({ length: 10 }, async () => (await fetch(url)).text()));
  const seconds = (performance.now() - began) / 1000;
  assert.ok(collections <= 1 + seconds, `${collections} collections in ${seconds} s`);
  assert.match(texts[0], /^collection \d+$/);
});

test('a collection that fails is a 500 and a warning, and the next one may work', async (t) => {
  const { server, port, warnings } = await start(t);
  let isBroken = true;
  server.serveMetrics(() => (isBroken ? Promise.reject(new Error('broken')) : Promise.resolve('fine')));
  const url = `http://127.0.0.1:${port}/metrics`;
  assert.equal((await fetch(url)).status, 500);
  assert.equal(warnings.length, 1);
  isBroken = false;
  assert.equal(await (await fetch(url)).text(), 'fine');
});

test('health: 200 or 503 with a reason; other paths and methods are refused', async (t) => {
  const { port } = await start(t);
  const at = `http://127.0.0.1:${port}`;
  assert.equal((await fetch(`${at}/healthz`)).status, 200);
  const ready = await fetch(`${at}/readyz?verbose`);
  assert.deepEqual([ready.status, await ready.text()], [503, 'not attached yet\n']);
  assert.equal((await fetch(`${at}/healthz`, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${at}/../etc/passwd`)).status, 404);
  assert.equal((await fetch(`${at}/healthz`, { method: 'POST', body: 'x' })).status, 405);
});

test('a request with a body ends the connection: nothing can follow it', async (t) => {
  const { port } = await start(t);
  const smuggled = 'GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n';
  const request = `GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`;
  const text = await say(t, port, request);
  assert.match(text, /^HTTP\/1\.1 200/);
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
});

test('large headers, garbage and expectations are refused', async (t) => {
  const { port } = await start(t);
  const large = `GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(8192)}\r\n\r\n`;
  assert.match(await say(t, port, large), /^HTTP\/1\.1 431/);
  assert.match(await say(t, port, '\0\u0001\u0002\r\n\r\n'), /^HTTP\/1\.1 400/);
  const expecting = 'GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: fly\r\nConnection: close\r\n\r\n';
  assert.match(await say(t, port, expecting), /^HTTP\/1\.1 417/);
});

test('connections over the limit are closed and counted, and those below it still get answers', async (t) => {
  const { server, port } = await start(t);
  const held = [];
  for (let count = 0; count < CONNECTIONS_MAX; count += 1) {
    const socket = await open(t, port);
    socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data');
    held.push(socket);
  }
  assert.equal(await answer(await open(t, port)), '');
  assert.deepEqual(server.counts, { scrape_connections_refused: 1 });
  held[0].write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  const [again] = (await once(held[0], 'data')) as [Buffer];
  assert.match(String(again), /^HTTP\/1\.1 200/);
});

test('a client that sends nothing, or never ends its headers, is closed by the server', async (t) => {
  const { port } = await start(t);
  const silent = await open(t, port);
  const slow = await open(t, port);
  slow.write('GET /healthz HTTP/1.1\r\nHost: a\r\n');
  assert.match(await answer(slow), /^HTTP\/1\.1 408/);
  assert.match(await answer(silent), /^(HTTP\/1\.1 408.*)?$/s);
});
