// What a real runtime can't be made to do: garbage, half an answer, no end, no answer, and records that a container's
// creator filled with anything. Sockets and servers are the test's own, on the protos that the sources ship.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { ContainerdSource } from '../../src/containers/runtimes/containerd.ts';
import { CriSource } from '../../src/containers/runtimes/cri.ts';
import { FOLLOW_TIMES, type FollowTimes } from '../../src/containers/runtimes/follower.ts';
import { LABEL_BYTES_MAX, type RuntimeSource } from '../../src/containers/runtimes/runtime-source.ts';
import { serveGrpc, statusError, type Handler, type Send } from '../helpers/grpc-server.ts';
import { QUICK_TIMES, RecordingListener } from '../helpers/recording-listener.ts';

const PROTOS = [
  'containerd-containers.proto',
  'containerd-namespaces.proto',
  'containerd-version.proto',
  'containerd-events.proto',
];
const GET = 'containerd.services.containers.v1.Containers/Get';
const LIST = 'containerd.services.namespaces.v1.Namespaces/List';
const VERSION = 'containerd.services.version.v1.Version/Version';
const SUBSCRIBE = 'containerd.services.events.v1.Events/Subscribe';
const NOT_FOUND = 5;

const QUESTION = { id: 'c1', cgroupPath: '/ns/c1' };

let folder: string;
let count = 0;
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'fdspan-grpc-'))));
after(() => rm(folder, { recursive: true, force: true }));

const deadline = (): AbortSignal => AbortSignal.timeout(10_000);

/** Listens with bare sockets, and gives a source of each kind for it. */
async function listen(t: TestContext, talk: (socket: net.Socket) => void): Promise<RuntimeSource[]> {
  const path = join(folder, `${++count}.sock`);
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const sources = [new ContainerdSource(path, QUICK_TIMES), new CriSource(path, QUICK_TIMES)];
  t.after(() => {
    for (const source of sources) source.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return sources;
}

async function serve(
  t: TestContext,
  handlers: Readonly<Record<string, Handler>>,
  times: FollowTimes = QUICK_TIMES,
): Promise<ContainerdSource> {
  const socket = join(folder, `${++count}.sock`);
  const server = await serveGrpc(socket, PROTOS, { [VERSION]: () => ({ version: '9' }), ...handlers });
  const source = new ContainerdSource(socket, times);
  t.after(() => {
    source.close();
    server.close();
  });
  return source;
}

/** Serves one container record. */
function serveContainer(t: TestContext, container: object): Promise<ContainerdSource> {
  return serve(t, { [GET]: () => ({ container }) });
}

const json = (value: unknown) => ({ type_url: 'x', value: Buffer.from(JSON.stringify(value)) });

test('a socket that talks no gRPC, closes at once, or stops in half a frame makes a look-up reject', async (t) => {
  const talks: ((socket: net.Socket) => void)[] = [
    (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    (socket) => void socket.write(Buffer.alloc(1 << 20, 0xff)),
    (socket) => void socket.destroy(),
    // A SETTINGS frame that promises more than comes.
    (socket) => void socket.end(Buffer.from([0, 0, 18, 4, 0, 0, 0, 0, 0, 1])),
  ];
  for (const talk of talks) {
    for (const source of await listen(t, talk)) await assert.rejects(source.find(QUESTION, deadline()));
  }
});

test("a socket that never answers costs the caller's deadline and no more", async (t) => {
  for (const source of await listen(t, () => undefined)) {
    await assert.rejects(source.find(QUESTION, AbortSignal.timeout(50)), { name: 'TimeoutError' });
    const listener = new RecordingListener();
    source.follow?.(listener);
    await listener.until(() => listener.states.length > 0);
    assert.deepEqual(listener.states, [
      { isAnswering: false, reason: 'a ping failed: no answer within 1000 ms' },
    ]);
  }
});

test('a socket that is not there rejects, and is found when it comes', async (t) => {
  const path = join(folder, 'later.sock');
  const source = new ContainerdSource(path, QUICK_TIMES);
  t.after(() => source.close());
  await assert.rejects(source.find(QUESTION, deadline()), /later\.sock/);
  const server = await serveGrpc(path, PROTOS, {
    [VERSION]: () => ({ version: '9' }),
    [GET]: () => ({ container: { id: 'c1' } }),
  });
  t.after(() => server.close());
  assert.deepEqual(await source.find(QUESTION, deadline()), {
    id: 'c1',
    runtimeName: 'containerd',
    runtimeVersion: '9',
    labels: new Map(),
  });
});

test('close makes look-ups in flight reject, and later ones', async (t) => {
  const source = await serve(t, { [GET]: () => new Promise<object>(() => undefined) });
  const found = source.find(QUESTION, deadline());
  setTimeout(() => source.close(), 100);
  await assert.rejects(found, /was closed/);
  await assert.rejects(source.find(QUESTION, deadline()), /was closed/);
});

test('an answer over the bound is refused', async (t) => {
  const source = await serveContainer(t, { id: 'c1', labels: { big: 'x'.repeat(5 << 20) } });
  await assert.rejects(source.find(QUESTION, deadline()), /gRPC status 8/);
});

/** Serves bytes as the body of every answer, by bare HTTP/2: what the official server wouldn't send. */
async function serveBody(
  t: TestContext,
  headers: http2.OutgoingHttpHeaders,
  talk: (stream: http2.ServerHttp2Stream) => void,
): Promise<ContainerdSource> {
  const path = join(folder, `${++count}.sock`);
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', ...headers },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    talk(stream);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const source = new ContainerdSource(path, QUICK_TIMES);
  t.after(() => {
    source.close();
    for (const session of sessions) session.destroy();
    server.close();
  });
  return source;
}

/** The head of a gRPC message. */
function head(bytes: number, isPacked = false): Buffer {
  const prefix = Buffer.from([isPacked ? 1 : 0, 0, 0, 0, 0]);
  prefix.writeUInt32BE(bytes, 1);
  return prefix;
}

test('a small answer that unpacks to more than the bound is refused', async (t) => {
  const bomb = gzipSync(Buffer.alloc(256 << 20));
  const source = await serveBody(t, { 'grpc-encoding': 'gzip' }, (stream) =>
    stream.end(Buffer.concat([head(bomb.length, true), bomb])),
  );
  const before = process.memoryUsage().rss;
  await assert.rejects(source.find(QUESTION, deadline()), /gRPC status 8/);
  assert.ok(process.memoryUsage().rss - before < 64 << 20, 'the answer was unpacked');
});

test("an answer without end, in one message or in many, costs the caller's deadline at most", async (t) => {
  const pour = (stream: http2.ServerHttp2Stream, bytes: Buffer): void => {
    if (!stream.destroyed) stream.write(bytes, () => setImmediate(pour, stream, bytes));
  };
  const trickle = await serveBody(t, {}, (stream) => {
    stream.write(head(4_000_000));
    const timer = setInterval(() => stream.destroyed || stream.write('x'), 5);
    stream.on('close', () => clearInterval(timer));
  });
  await assert.rejects(trickle.find(QUESTION, AbortSignal.timeout(200)), { name: 'TimeoutError' });
  const many = await serveBody(t, {}, (stream) => pour(stream, Buffer.alloc(5 * 1_000)));
  await assert.rejects(many.find(QUESTION, AbortSignal.timeout(2_000)));
  const huge = await serveBody(t, {}, (stream) =>
    pour(stream, Buffer.concat([head(0xffff_ffff), Buffer.alloc(60_000)])),
  );
  await assert.rejects(huge.find(QUESTION, AbortSignal.timeout(2_000)), /gRPC status 8/);
});

test('ten thousand labels and labels of 1 MiB are kept up to the bound', async (t) => {
  const many = Object.fromEntries([...Array(10_000).keys()].map((n) => [`key${n}`, 'v'.repeat(50)]));
  const sources = [
    await serveContainer(t, { id: 'c1', labels: many }),
    await serveContainer(t, {
      id: 'c1',
      labels: { a: 'b', ['k'.repeat(1 << 20)]: 'v', z: 'v'.repeat(1 << 20) },
    }),
  ];
  for (const source of sources) {
    const found = await source.find(QUESTION, deadline());
    const bytes = [...(found?.labels ?? [])].reduce(
      (sum, [key, value]) => sum + key.length + value.length,
      0,
    );
    assert.ok(bytes > 0 && bytes <= LABEL_BYTES_MAX, `${bytes} bytes`);
  }
});

test("labels by the names of an object's own parts are labels", async (t) => {
  const labels = new Map([
    ['__proto__', 'p'],
    ['constructor', 'c'],
    ['toString', 't'],
  ]);
  // Written by hand: an object literal can't hold all of them.
  const entry = (key: string, value: string): Uint8Array =>
    protobuf.Writer.create().uint32(10).string(key).uint32(18).string(value).finish();
  const container = protobuf.Writer.create().uint32(10).string('c1');
  for (const [key, value] of labels) container.uint32(18).bytes(entry(key, value));
  const answer = Buffer.from(protobuf.Writer.create().uint32(10).bytes(container.finish()).finish());
  const source = await serve(t, { [GET]: () => answer });
  assert.deepEqual((await source.find(QUESTION, deadline()))?.labels, labels);
  assert.equal(({} as Record<string, unknown>)['p'], undefined);
});

test('texts that are no UTF-8 become text; fields of wrong types are an error or nothing', async (t) => {
  const bytes = (...fields: (string | Buffer)[]): Buffer => {
    const writer = protobuf.Writer.create();
    fields.forEach((field, index) => writer.uint32(((index + 1) << 3) | 2).bytes(Buffer.from(field)));
    return Buffer.from(writer.finish());
  };
  const label = bytes('nerdctl/name', Buffer.from([0x61, 0xff, 0xfe, 0x62]));
  const source = await serve(t, { [GET]: () => bytes(bytes('c1', label)) });
  assert.equal((await source.find(QUESTION, deadline()))?.name, 'a\ufffd\ufffdb');

  const garbage = [
    Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    Buffer.from([0x0b, 0x0b, 0x0b]),
    // Field 1 as a number, where a message should be.
    Buffer.from([0x08, 0x96, 0x01]),
    Buffer.alloc(1000, 0xff),
    Buffer.alloc(0),
  ];
  for (const answer of garbage) {
    const hostile = await serve(t, { [GET]: () => answer, [LIST]: () => ({ namespaces: [] }) });
    const found = await hostile.find(QUESTION, deadline()).catch((error: Error) => error);
    assert.ok(found === null || found instanceof Error, `answer ${answer.toString('hex').slice(0, 20)}`);
  }
});

test('a spec and extensions of any JSON tell nothing that they do not hold', async (t) => {
  const values: unknown[] = [
    null,
    7,
    'text',
    [],
    { process: null },
    { process: { env: 'OTEL_SERVICE_NAME=x' } },
    { process: { env: [7, null, {}, 'OTEL_SERVICE_NAME', 'OTEL_SERVICE_NAME='] } },
    { process: { env: [`OTEL_SERVICE_NAME=${'x'.repeat(2000)}`] } },
    { Metadata: 7, process: { env: { find: 1 } } },
    { Metadata: { SandboxID: 7, Config: { metadata: { attempt: 'many' } } } },
  ];
  for (const value of values) {
    const extensions = { 'io.cri-containerd.container.metadata': json(value) };
    const labels = { 'io.cri-containerd.kind': 'container' };
    const source = await serveContainer(t, { id: 'c1', spec: json(value), extensions, labels });
    const found = await source.find(QUESTION, deadline());
    assert.equal(found?.serviceName, undefined, JSON.stringify(value).slice(0, 80));
    assert.equal(found?.pod, undefined);
  }
  const deep = Buffer.from('['.repeat(1 << 20));
  const source = await serveContainer(t, { id: 'c1', spec: { type_url: 'x', value: deep } });
  assert.equal((await source.find(QUESTION, deadline()))?.id, 'c1');
});

test('names over the bound are left out', async (t) => {
  const long = 'n'.repeat(2000);
  const labels = {
    'nerdctl/name': long,
    'io.kubernetes.pod.name': long,
    'io.kubernetes.pod.namespace': 'a',
    'io.kubernetes.pod.uid': 'b',
  };
  const source = await serveContainer(t, { id: 'c1', labels, image: long, runtime: { name: long } });
  const found = await source.find(QUESTION, deadline());
  assert.deepEqual(
    { ...found, labels: undefined },
    { id: 'c1', runtimeName: 'containerd', runtimeVersion: '9', labels: undefined },
  );
});

test('a container of another id than the one asked for is not taken', async (t) => {
  const source = await serve(t, {
    [GET]: () => ({ container: { id: 'c2' } }),
    [LIST]: () => ({ namespaces: [{ name: 'other' }] }),
  });
  assert.equal(await source.find(QUESTION, deadline()), null);
});

test('of very many namespaces some are asked, and the answer says so', async (t) => {
  let asked = 0;
  const source = await serve(t, {
    [GET]: () => {
      asked += 1;
      return Promise.reject(statusError(NOT_FOUND, 'not found'));
    },
    [LIST]: () => ({ namespaces: [...Array(5_000).keys()].map((n) => ({ name: `ns${n}` })) }),
  });
  await assert.rejects(
    source.find({ id: 'c1', cgroupPath: '/' }, deadline()),
    /asked 64 of its 5000 namespaces/,
  );
  assert.equal(asked, 64);
});

test("namespaces that could not be a header's value are not asked", async (t) => {
  const source = await serve(t, {
    [GET]: () => ({ container: { id: 'c1' } }),
    [LIST]: () => ({ namespaces: ['', 'a\r\nb', 'ä', '../x', 'n'.repeat(500)].map((name) => ({ name })) }),
  });
  assert.equal(await source.find({ id: 'c1', cgroupPath: '/' }, deadline()), null);
});

const created = (id: string): object => ({
  namespace: 'ns',
  topic: '/containers/create',
  event: { type_url: 'x', value: Buffer.concat([Buffer.from([0x0a, id.length]), Buffer.from(id)]) },
});

test('events of garbage tell nothing, and a good one after them does', async (t) => {
  const source = await serve(t, {
    [SUBSCRIBE]: (_, send) => {
      send({ topic: '/containers/create' });
      send({ ...created('c1'), namespace: 'a\nb' });
      send({ ...created('c1'), topic: '/other' });
      send({ ...created('c1'), event: { type_url: 'x', value: Buffer.alloc(100, 0xff) } });
      send(created('..'));
      send(created('good'));
      return new Promise<object>(() => undefined);
    },
    [GET]: ({ id }) => ({ container: { id } }),
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length > 0);
  assert.equal(listener.changes[0].id, 'good');
});

test('an endless stream of events holds few look-ups at a time, and says what it skipped', async (t) => {
  let inFlight = 0;
  let inFlightMax = 0;
  // Events by the thousand hold the test's own server up: no quick pings.
  const handlers = {
    [SUBSCRIBE]: (_: unknown, send: Send) => {
      for (let n = 0; n < 5_000; n++) send(created(`c${n}`));
      return new Promise<object>(() => undefined);
    },
    [GET]: async ({ id }: { id: string }) => {
      inFlightMax = Math.max(inFlightMax, ++inFlight);
      await delay(1);
      inFlight -= 1;
      return { container: { id } };
    },
  };
  const source = await serve(t, handlers, FOLLOW_TIMES);
  const listener = new RecordingListener();
  const { changes, skips } = listener;
  source.follow(listener);
  await listener.until(() => changes.length + skips.length === 5_000);
  assert.ok(changes.length >= 1_024 && skips.length > 0, `${changes.length} told, ${skips.length} skipped`);
  assert.ok(inFlightMax <= 4, `${inFlightMax} at a time`);
});

test('a stream that ends in mid-event is told once, and followed again', async (t) => {
  let streams = 0;
  const listener = new RecordingListener();
  const source = await serve(t, {
    [SUBSCRIBE]: (_, send, call) => {
      streams += 1;
      if (streams > 2) send(created('again'));
      else {
        const end = (): void => (streams === 1 ? call.call?.stream?.destroy() : call.end());
        const timer = setInterval(() => {
          if (listener.states.at(-1)?.isAnswering !== true) return;
          clearInterval(timer);
          end();
        }, 5);
      }
      return new Promise<object>(() => undefined);
    },
    [GET]: ({ id }) => ({ container: { id } }),
  });
  source.follow(listener);
  await listener.until(() => listener.changes.length > 0);
  assert.equal(listener.changes[0].id, 'again');
  const states = listener.states.map(({ isAnswering }) => isAnswering);
  assert.deepEqual(states.slice(0, 4), [true, false, true, false]);
});

test("a listener that throws doesn't end the following", async (t) => {
  const source = await serve(t, {
    [SUBSCRIBE]: (_, send) => {
      send(created('first'));
      send(created('second'));
      return new Promise<object>(() => undefined);
    },
    [GET]: ({ id }) => ({ container: { id } }),
  });
  const told: string[] = [];
  await new Promise<void>((resolve) =>
    source.follow({
      changed: ({ id }) => {
        told.push(id);
        if (told.length === 2) resolve();
        throw new Error('from the listener');
      },
      state: () => undefined,
    }),
  );
  assert.deepEqual(told.sort(), ['first', 'second']);
});
