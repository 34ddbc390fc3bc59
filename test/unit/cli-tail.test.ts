import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { after, test } from 'node:test';
import { status } from '../../src/cli/status.ts';
import type { LocalStarter } from '../../src/cli/tail-local.ts';
import { tail } from '../../src/cli/tail.ts';
import { ControlServer } from '../../src/telemetry/control-server.ts';
import { encodeRequest } from './telemetry-otlp-bytes.ts';

const folder = mkdtempSync(join(tmpdir(), 'fdspan-tail-'));
after(() => rmSync(folder, { recursive: true }));

const nowhere = { FDSPAN_CONTROL_SOCKET: join(folder, 'nowhere.sock') };

function request(paths: readonly string[]): Uint8Array {
  return encodeRequest(
    { 'service.name': 'web' },
    paths.map((path) => ({
      startNs: 1_000_000_000n,
      endNs: 1_000_001_500n,
      attributes: { 'file.path': path },
    })),
  );
}

class Sink extends Writable {
  text = '';
  isTTY = false;
  columns = 100;
  rows = 10;
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

function io(env: NodeJS.ProcessEnv = nowhere, isTTY = false) {
  const stdout = new Sink();
  stdout.isTTY = isTTY;
  return { stdout, stderr: new Sink(), env };
}

/** A collector that offers these requests, and then waits for its stop. */
function local(requests: readonly Uint8Array[], onStop: () => void = () => {}): () => Promise<LocalStarter> {
  return async () =>
    async ({ onRequest }) => {
      setImmediate(() => requests.forEach(onRequest));
      return {
        counters: () => ({ still_open: 2, ring_full: 4 }),
        failed: new Promise(() => {}),
        stop: async () => onStop(),
      };
    };
}

async function runTail(args: string[], requests: Uint8Array[], isTTY = false, env: NodeJS.ProcessEnv = {}) {
  const streams = io({ ...nowhere, ...env }, isTTY);
  const exitCode = await tail(args, streams, local(requests));
  return { exitCode, out: streams.stdout.text, err: streams.stderr.text };
}

test('off a terminal: the heading once, one plain line a span', async () => {
  const paths = Array.from({ length: 30 }, (_, i) => `/f${i}`);
  const { exitCode, out } = await runTail(['--count', '30'], [request(paths)]);
  const lines = out.trimEnd().split('\n');
  assert.equal(exitCode, 0);
  assert.equal(lines.length, 31);
  assert.match(lines[0], /^TIME .* PATH$/);
  assert.match(lines[30], / 1\.50µs .* \/f29$/);
  assert.doesNotMatch(out, /\x1b|\r/); // eslint-disable-line no-control-regex
});

test('--count ends after so many rows, and the collector of our own has stopped by then', async () => {
  let isStopped = false;
  const streams = io();
  const starter = local([request(['/a', '/b', '/c'])], () => (isStopped = true));
  assert.equal(await tail(['--json', '--count', '2'], streams, starter), 0);
  const rows = streams.stdout.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { path: string });
  assert.deepEqual(
    rows.map(({ path }) => path),
    ['/a', '/b'],
  );
  assert.equal(isStopped, true);
});

test('--seconds ends a tail in which nothing happens', async () => {
  assert.equal((await runTail(['--seconds', '0.05'], [])).exitCode, 0);
});

test('JSON lines give hostile paths back unharmed, without a control character on the way', async () => {
  const path = '/a\x1b[2J\n\u202e"\u009b';
  const { out } = await runTail(['--json', '--count', '1'], [request([path])]);
  assert.equal((JSON.parse(out) as { path: string }).path, path);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(out.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202e]/);
});

test('on a terminal the heading returns each screenful, and a status line stays below', async () => {
  const paths = Array.from({ length: 24 }, (_, i) => `/f${i}`);
  const { out } = await runTail(['--count', '24'], [request(paths)], true);
  assert.equal(out.split('CONTAINER').length - 1, 3);
  assert.match(out, /2 open now · 4 dropped/);
  assert.match(out, /\r\x1b\[2K/); // eslint-disable-line no-control-regex
});

test('NO_COLOR leaves no colour on a terminal', async () => {
  const colours = /\x1b\[\d+m/; // eslint-disable-line no-control-regex
  assert.match((await runTail(['--count', '1'], [request(['/a'])], true)).out, colours);
  assert.doesNotMatch(
    (await runTail(['--count', '1'], [request(['/a'])], true, { NO_COLOR: '1' })).out,
    colours,
  );
});

test('what is above the rows a second is told at the end', async () => {
  const many = request(Array.from({ length: 700 }, (_, i) => `/f${i}`));
  const { err } = await runTail(['--json', '--seconds', '0.05'], [many]);
  assert.match(err, /200 spans were not shown/);
});

test('a collector of our own that dies ends tail with its error', async () => {
  const starter = async () => async () => ({
    counters: () => ({}),
    failed: Promise.reject(new Error('the pump died')),
    stop: async () => {},
  });
  await assert.rejects(tail([], io(), starter), /the pump died/);
});

for (const [args, code, message] of [
  [['--count', '0'], 64, /--count "0"/],
  [['--count', '1.5'], 64, /whole number/],
  [['--seconds', 'soon'], 64, /--seconds "soon"/],
  [['--colour'], 64, /--colour/],
  [['extra'], 64, /extra/],
  [['--set', 'no.such=1'], 78, /no\.such/],
  [['--socket', join(folder, 'missing.sock')], 69, /no fdspan is running/],
] as const) {
  test(`tail ${args.join(' ').replace(folder, '')} ends with ${code} and says why`, async () => {
    const streams = io();
    assert.equal(await tail([...args], streams, local([])), code);
    assert.match(streams.stderr.text, message);
    assert.equal(streams.stdout.text, '');
  });
}

test('tail and status ask the running collector', async (context) => {
  const path = join(folder, 'control.sock');
  const answer = {
    version: '1.2.3',
    pid: 7,
    uptimeSeconds: 93_784,
    attachMode: 'tracepoint',
    scope: 'cgroup',
    endpoint: 'http://h:1',
    counters: { opens_in_scope: 5, queue_full: 3 },
    containers: 2,
    queue: { bytes: 1 << 20, bytesMax: 32 << 20, requests: 4 },
  };
  const server = await ControlServer.listen({
    path,
    handlers: { status: () => answer },
    counters: () => answer.counters,
    onWarning: assert.fail,
  });
  context.after(() => server.close());
  const asked = io({ FDSPAN_CONTROL_SOCKET: path });
  assert.equal(await status([], asked), 0);
  assert.match(asked.stdout.text, /1\.2\.3 \(pid 7, up 1d 2h\)/);
  assert.match(asked.stdout.text, /drops +queue_full 3 \(export\)/);
  const json = io();
  assert.equal(await status(['--json', '--socket', path], json), 0);
  assert.deepEqual(JSON.parse(json.stdout.text), answer);

  const streams = io({ FDSPAN_CONTROL_SOCKET: path });
  const ended = tail(['--count', '1', '--json'], streams, assert.fail);
  while (!server.hasTail) await new Promise((resolve) => setImmediate(resolve));
  server.offerRequest(request(['/seen']));
  assert.equal(await ended, 0);
  assert.equal((JSON.parse(streams.stdout.text) as { path: string }).path, '/seen');
});

test('status without a collector ends with 69 and says so', async () => {
  const streams = io();
  assert.equal(await status([], streams), 69);
  assert.match(streams.stderr.text, /no fdspan is running/);
});
