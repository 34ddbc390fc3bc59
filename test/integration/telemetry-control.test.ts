import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { askControl, askLines, openTail } from '../../src/telemetry/control-client.ts';
import type { TailMessage } from '../../src/telemetry/control-protocol.ts';
import { CLIENTS_MAX, ControlServer } from '../../src/telemetry/control-server.ts';
import { encodeRequest } from '../unit/telemetry-otlp-bytes.ts';

let folder: string;
let path: string;
const servers: ControlServer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fdspan-control-'));
  path = join(folder, 'run/control.sock');
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  rmSync(folder, { recursive: true });
});

/** Of the endless answer: the lines that were asked for, and who is told that it was ended. */
let pulled = 0;
let ended = (): void => {};

async function listen(options: { idleDeadlineMs?: number; rowsPerSecondMax?: number } = {}) {
  const server = await ControlServer.listen({
    path,
    handlers: {
      status: () => ({ version: '1' }),
      slow: async () => new Promise(() => {}),
      lines: async function* () {
        yield [1];
        yield [2, 3];
        return { files: 3 };
      },
      breaking: async function* () {
        yield [1];
        throw new Error('the iterator ended');
      },
      many: async function* () {
        try {
          for (;;) {
            pulled += 1;
            yield 'x'.repeat(64 * 1024);
          }
        } finally {
          ended();
        }
      },
      broken: () => {
        throw new Error('no such thing');
      },
    },
    counters: () => ({ still_open: 3 }),
    onWarning: () => {},
    ...options,
  });
  servers.push(server);
  return server;
}

async function rawAnswer(text: string): Promise<string> {
  const socket = connect(path);
  socket.write(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

function request(paths: readonly string[]): Uint8Array {
  return encodeRequest(
    { 'service.name': 'web' },
    paths.map((file) => ({ startNs: 1n, endNs: 2n, attributes: { 'file.path': file } })),
  );
}

test('a command is answered, and the socket is for its owner only', async () => {
  await listen();
  assert.deepEqual(await askControl(path, { command: 'status' }), { version: '1' });
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('a handler that throws, an unknown command and an inherited name are refused with the reason', async () => {
  await listen();
  await assert.rejects(askControl(path, { command: 'broken' }), {
    code: 'refused',
    message: /no such thing/,
  });
  await assert.rejects(askControl(path, { command: 'nope' }), { code: 'refused', message: /"nope"/ });
  await assert.rejects(askControl(path, { command: 'toString' }), { code: 'refused' });
});

test('a handler that hangs ends in a timeout at the client', async () => {
  await listen();
  await assert.rejects(askControl(path, { command: 'slow' }, 50), { code: 'timeout' });
});

test('what is no request is refused: too long, no JSON, no command, nothing', async () => {
  await listen({ idleDeadlineMs: 50 });
  assert.match(await rawAnswer('x'.repeat(5000)), /more than 4096 bytes/);
  assert.match(await rawAnswer('hello\n'), /not JSON/);
  assert.match(await rawAnswer('null\n'), /no \\"command\\"/);
  assert.match(await rawAnswer(''), /no request came in time/);
  assert.deepEqual(await askControl(path, { command: 'status' }), { version: '1' });
});

test('one client too many is refused, and a place that is free again is given', async () => {
  const server = await listen();
  const sockets: Socket[] = [];
  for (let i = 0; i < CLIENTS_MAX; i++) {
    const socket = connect(path);
    await once(socket, 'connect');
    sockets.push(socket);
  }
  await assert.rejects(
    askControl(path, { command: 'status' }),
    /clients are connected already|ECONNRESET|EPIPE/,
  );
  assert.equal(server.clientsRefused, 1);
  await Promise.all(sockets.map((socket) => once(socket.end().resume(), 'close')));
  assert.deepEqual(await askControl(path, { command: 'status' }), { version: '1' });
});

test('no collector is told apart from one that may not be asked', async () => {
  await assert.rejects(askControl(path, { command: 'status' }), { code: 'not_running' });
});

test('a second collector is refused while the first answers', async () => {
  await listen();
  await assert.rejects(listen(), { code: 'in_use', message: /control\.socket/ });
  assert.deepEqual(await askControl(path, { command: 'status' }), { version: '1' });
});

test('the socket file of a killed process is replaced', async () => {
  const script = `import { createServer } from 'node:net';
    createServer().listen(${JSON.stringify(join(folder, 'control.sock'))}, () => process.kill(process.pid, 'SIGKILL'));`;
  spawnSync(process.execPath, ['--input-type=module', '-e', script]);
  path = join(folder, 'control.sock');
  assert.ok(existsSync(path));
  await listen();
  assert.deepEqual(await askControl(path, { command: 'status' }), { version: '1' });
});

test('a file that is no socket is never removed', async () => {
  path = join(folder, 'precious');
  writeFileSync(path, 'data');
  await assert.rejects(listen(), { code: 'failed', message: /no socket/ });
  assert.equal(statSync(path).size, 4);
});

test('close removes the socket file', async () => {
  const server = await listen();
  await server.close();
  servers.pop();
  assert.equal(existsSync(path), false);
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

test('requests are decoded only while somebody watches', async () => {
  const server = await listen();
  assert.equal(server.hasTail, false);
  server.offerRequest(new Uint8Array([255, 255]));
  const end = new AbortController();
  const stream = await openTail(path, end.signal);
  const first = await stream.next();
  assert.equal((first.value as TailMessage).type, 'stats');
  assert.equal(server.hasTail, true);
  end.abort();
  assert.equal((await stream.next()).done, true);
  await until(() => !server.hasTail);
});

test('a tail gets the rows of each request, and what was above the budget as a number', async () => {
  const server = await listen({ rowsPerSecondMax: 3 });
  const end = new AbortController();
  const stream = await openTail(path, end.signal);
  await stream.next();
  server.offerRequest(request(['/a', '/b']));
  server.offerRequest(request(['/c', '/d', '/e']));
  const paths: string[] = [];
  for await (const message of stream) {
    if (message.type === 'rows') paths.push(...message.rows.map((row) => row.path));
    else {
      assert.deepEqual(message.stats, { spans: 5, skipped: 2, dropped: 0, counters: { still_open: 3 } });
      end.abort();
    }
  }
  assert.deepEqual(paths, ['/a', '/b', '/c']);
});

test('a tail that does not read loses rows, counted, and holds neither server nor memory', async () => {
  const server = await listen({ rowsPerSecondMax: 1_000_000 });
  const socket = connect(path);
  socket.write('{"command":"tail"}\n');
  await until(() => server.hasTail);
  const long = request(Array.from({ length: 200 }, () => '/x'.repeat(1000)));
  for (let i = 0; i < 50; i++) server.offerRequest(long);
  const closed = server.close();
  servers.pop();
  let text = '';
  socket.setEncoding('utf8');
  for await (const chunk of socket) text += String(chunk);
  await closed;
  const messages = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as TailMessage);
  const rows = messages.reduce(
    (sum, message) => sum + (message.type === 'rows' ? message.rows.length : 0),
    0,
  );
  assert.ok(rows < 50 * 200, `${rows} rows were sent`);
  assert.ok(text.length < 4 << 20, `${text.length} bytes were held`);
});

test('damaged bytes are a warning, not a crash', async () => {
  const server = await listen();
  const end = new AbortController();
  const stream = await openTail(path, end.signal);
  await stream.next();
  server.offerRequest(new Uint8Array([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]));
  server.offerRequest(request(['/after']));
  const { value } = await stream.next();
  assert.equal((value as Extract<TailMessage, { type: 'rows' }>).rows[0].path, '/after');
  end.abort();
});

test('an answer of many lines comes whole, and its last line is what ends it', async () => {
  await listen();
  const lines: unknown[] = [];
  const total = await askLines(path, { command: 'lines' }, (line) => lines.push(line));
  assert.deepEqual(lines, [[1], [2, 3]]);
  assert.deepEqual(total, { files: 3 });
});

test('an answer that breaks off is an error, whatever came before', async () => {
  await listen();
  await assert.rejects(
    askLines(path, { command: 'breaking' }, () => {}),
    { code: 'refused', message: /the iterator ended/ },
  );
});

test('a client that reads nothing gets no more lines, and the answer ends when it is given up', async () => {
  await listen({ idleDeadlineMs: 300 });
  pulled = 0;
  const isEnded = new Promise<void>((resolve) => (ended = resolve));
  const socket = connect(path);
  socket.write('{"command":"many"}\n');
  socket.pause();
  await isEnded;
  assert.ok(pulled < 64, `${pulled} lines of 64 KiB were asked for`);
  socket.destroy();
});

test('a client that goes away in the middle ends the answer', async () => {
  await listen();
  const isEnded = new Promise<void>((resolve) => (ended = resolve));
  const socket = connect(path);
  socket.write('{"command":"many"}\n');
  await once(socket, 'data');
  socket.destroy();
  await isEnded;
});
