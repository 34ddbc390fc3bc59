// What an engine's socket can answer that no real engine does: nothing, too much, garbage, lies. The server is the
// test's own; the source must say what is wrong, hold no more than its bounds, and go on.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EngineError } from '../../src/containers/runtimes/engine/engine-error.ts';
import { EngineSource } from '../../src/containers/runtimes/engine-source.ts';
import { LABEL_BYTES_MAX } from '../../src/containers/runtimes/runtime-source.ts';
import { USER_ANSWER_BYTES_MAX } from '../../src/containers/runtimes/user-bytes.ts';
import { QUICK_TIMES, RecordingListener } from '../helpers/recording-listener.ts';
import { answer, answerForever, startUnixServer, type Handler } from '../helpers/unix-server.ts';

const ID = 'ab'.repeat(32);
const OTHER_ID = 'cd'.repeat(32);
const VERSION = {
  Version: '29.0.1',
  ApiVersion: '1.52',
  MinAPIVersion: '1.44',
  Components: [{ Name: 'Engine' }],
};
/** Reason: an engine that hangs is waited for. */
const TIMES = { ...QUICK_TIMES, pingTimeoutMs: 200 };
const deadline = (ms = 10_000): AbortSignal => AbortSignal.timeout(ms);

function event(id: string, action = 'create', more: object = {}): string {
  return `${JSON.stringify({ Type: 'container', Action: action, Actor: { ID: id }, ...more })}\n`;
}

interface Answers {
  readonly version?: Handler;
  readonly inspect?: Handler;
  readonly events?: Handler;
  readonly ping?: Handler;
}

const json =
  (value: unknown): Handler =>
  (socket) =>
    answer(socket, JSON.stringify(value));

/** A docker that answers as told, and well where it is told nothing. */
function engine(answers: Answers): Handler {
  return (socket, path) => {
    if (path === '/version') (answers.version ?? json(VERSION))(socket, path);
    else if (path === '/_ping') (answers.ping ?? ((each) => answer(each, 'OK')))(socket, path);
    else if (path.includes('/events?')) (answers.events ?? answerForever)(socket, path);
    else (answers.inspect ?? json({ Id: /[0-9a-f]{64}/.exec(path)?.[0], Name: '/web' }))(socket, path);
  };
}

async function started(t: TestContext, answers: Answers, ownerUid: number | null = null) {
  const server = await startUnixServer(engine(answers));
  const source = new EngineSource({ engine: 'docker', path: server.socketPath, ownerUid }, TIMES);
  t.after(() => {
    source.close();
    return server.close();
  });
  return {
    server,
    source,
    find: (signal = deadline()) => source.find({ id: ID, cgroupPath: `/docker/${ID}` }, signal),
  };
}

const badAnswers: readonly (readonly [what: string, code: EngineError['code'], answer: Handler])[] = [
  ['bytes that are no HTTP', 'garbage', (socket) => socket.end(Buffer.alloc(4096, 0xff))],
  ['headers without end', 'garbage', (socket) => flood(socket, 'HTTP/1.1 200 OK\r\n', 'X-A: b\r\n')],
  ['text that is no JSON', 'garbage', (socket) => answer(socket, '<html>')],
  ['JSON that ends early', 'garbage', (socket) => answer(socket, '{"Id":"')],
  ['JSON of another kind', 'garbage', json([1, 2])],
  ['JSON null', 'garbage', json(null)],
  [
    'half an answer',
    'unreachable',
    (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"Id"'),
  ],
  ['no answer at all', 'unreachable', (socket) => socket.end()],
  [
    'another protocol',
    'unreachable',
    (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  ],
  [
    'an endless answer',
    'too_long',
    (socket) => {
      answerForever(socket);
      flood(socket, '', 'x'.repeat(65_536));
    },
  ],
  ['an error', 'refused', (socket) => answer(socket, '{"message":"no space"}', '500 Internal Server Error')],
  ['a redirection', 'refused', (socket) => answer(socket, '', '301 Moved Permanently')],
];

/** Writes the same bytes until the client closes, as fast as it reads. */
function flood(socket: Parameters<Handler>[0], first: string, again: string): void {
  socket.write(first);
  const more = (): void => {
    while (!socket.destroyed && socket.write(again));
  };
  socket.on('drain', more);
  more();
}

for (const [what, code, handler] of badAnswers) {
  test(`a look-up that is answered by ${what} rejects, as does the question for the version`, async (t) => {
    const { server, find } = await started(t, { inspect: handler });
    const isRight = (error: unknown): boolean =>
      error instanceof EngineError && error.code === code && error.message.includes(server.socketPath);
    await assert.rejects(find(), isRight);
    server.handler = engine({ version: handler });
    await assert.rejects(find(), isRight);
    server.handler = engine({});
    assert.equal((await find())?.name, 'web');
  });
}

test('a look-up that is never answered ends with its signal, and so do those that wait for their turn', async (t) => {
  const { server, find } = await started(t, { inspect: () => undefined });
  const signals = Array.from({ length: 20 }, () => deadline(300));
  const results = await Promise.allSettled(signals.map((signal) => find(signal)));
  for (const [index, result] of results.entries()) {
    assert.equal(result.status, 'rejected');
    assert.equal(result.reason, signals[index].reason);
  }
  assert.ok(server.connections.max <= 4, `${server.connections.max} connections`);
  server.handler = engine({});
  assert.equal((await find())?.name, 'web');
});

test('a version that is never answered ends with the signal of who asked', async (t) => {
  const { find } = await started(t, { version: () => undefined });
  const signal = deadline(50);
  await assert.rejects(find(signal), (error) => error === signal.reason);
});

test('closing rejects what is in flight and what comes later', async (t) => {
  const { server, source, find } = await started(t, { inspect: () => source.close() });
  const listener = new RecordingListener();
  source.follow(listener);
  const isClosed = (error: unknown): boolean => error instanceof EngineError && error.code === 'closed';
  await assert.rejects(find(), isClosed);
  await assert.rejects(find(), isClosed);
  const told = listener.states.length;
  const asked = server.paths.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(listener.states.length, told);
  assert.equal(server.paths.length, asked);
  assert.equal(server.connections.now, 0);
});

test('ten thousand labels, and labels of a mebibyte, are cut to the bound', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`label-${i}`, 'v'.repeat(90)]));
  const { server, find } = await started(t, { inspect: json({ Id: ID, Config: { Labels: many } }) });
  const labels = (await find())?.labels ?? new Map<string, string>();
  const bytes = [...labels].reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  assert.ok(bytes <= LABEL_BYTES_MAX && bytes > LABEL_BYTES_MAX - 200, `${bytes} bytes`);
  const long = { a: 'b', long: 'x'.repeat(1 << 20) };
  server.handler = engine({
    inspect: json({ Id: ID, Name: `/${'n'.repeat(1 << 20)}`, Config: { Labels: long } }),
  });
  const metadata = await find();
  assert.deepEqual(metadata?.labels, new Map([['a', 'b']]));
  assert.equal(metadata?.name, undefined);
});

test('bytes that are not UTF-8 become replacement characters', async (t) => {
  const body = Buffer.from(`{"Id":"${ID}","Name":"/a?b","Config":{"Labels":{"k":"?"}}}`);
  for (const [index, byte] of body.entries()) if (byte === 0x3f) body[index] = 0xff;
  const { find } = await started(t, { inspect: (socket) => answer(socket, body) });
  const metadata = await find();
  assert.equal(metadata?.name, 'a\ufffdb');
  assert.deepEqual(metadata?.labels, new Map([['k', '\ufffd']]));
});

test('an answer about another container is none about this one', async (t) => {
  const { find } = await started(t, { inspect: json({ Id: OTHER_ID, Name: `/${ID}` }) });
  assert.equal(await find(), null);
});

test('an engine is asked in the oldest version that it still takes', async (t) => {
  const { server, find } = await started(t, {});
  await find();
  assert.deepEqual(server.paths, ['/_ping', '/version', `/v1.44/containers/${ID}/json`]);
});

test('events are told though the stream breaks in the middle of one', async (t) => {
  let streams = 0;
  const { source } = await started(t, {
    events: (socket) => {
      answerForever(socket);
      streams += 1;
      if (streams === 1) socket.end(event(ID) + event(OTHER_ID).slice(0, 40));
      else socket.write(event(OTHER_ID));
    },
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length === 2);
  assert.deepEqual(
    listener.changes.map(({ id }) => id),
    [ID, OTHER_ID],
  );
  assert.deepEqual(
    listener.states.map(({ isAnswering }) => isAnswering),
    [true, false, true],
  );
});

test('events that can not be read are skipped, told and outlived', async (t) => {
  const lines = [
    'garbage\n',
    '[]\n',
    '{"Action":7,"Actor":{"ID":"x"}}\n',
    `{"Action":"create","Actor":{"ID":"${ID.slice(0, 12)}"}}\n`,
    `{"Action":"create","Actor":"${'x'.repeat(1 << 21)}"}\n`,
    '\n',
    // No event that was asked for: ignored without a word.
    event(ID, 'exec_start: sh'),
    event(ID),
  ];
  const { server, source } = await started(t, {
    events: (socket) => {
      answerForever(socket);
      socket.write(lines.join(''));
    },
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length === 1);
  assert.equal(listener.skips.length, 5, listener.skips.join('\n'));
  assert.equal(listener.skips.filter((reason) => reason.includes('longer')).length, 1);
  assert.equal(server.paths.filter((path) => path.includes('/containers/')).length, 1);
});

test('a look-up for an event that fails is told, and the next event is taken', async (t) => {
  const { source } = await started(t, {
    inspect: (socket, path) => answer(socket, path.includes(ID) ? '{' : `{"Id":"${OTHER_ID}"}`),
    events: (socket) => {
      answerForever(socket);
      socket.write(event(ID) + event(OTHER_ID));
    },
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length === 1);
  assert.equal(listener.changes[0].id, OTHER_ID);
  assert.equal(listener.skips.length, 1);
});

test('of two events of one container the later look-up is told last, however long the earlier takes', async (t) => {
  let asked = 0;
  let atOnce = 0;
  const { source } = await started(t, {
    inspect: (socket) => {
      asked += 1;
      atOnce += 1;
      const name = `/name-${asked}`;
      const reply = (): void => {
        atOnce -= 1;
        answer(socket, JSON.stringify({ Id: ID, Name: name }));
      };
      assert.equal(atOnce, 1);
      if (asked === 1) setTimeout(reply, 100);
      else reply();
    },
    events: (socket) => {
      answerForever(socket);
      socket.write(event(ID));
      // The first look-up has begun by then.
      setTimeout(() => socket.write(event(ID, 'rename') + event(ID, 'update')), 50);
    },
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length === 2);
  assert.deepEqual(listener.names(ID), ['name-1', 'name-2']);
});

test('an engine that hangs behind an open stream is noticed, and followed again when it answers', async (t) => {
  let isHanging = false;
  const { server, source } = await started(t, {
    ping: (socket) => {
      if (!isHanging) answer(socket, 'OK');
    },
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.states.length === 1);
  isHanging = true;
  await listener.until(() => listener.states.length === 2);
  assert.match(listener.states[1].reason, /ping/);
  isHanging = false;
  await listener.until(() => listener.states.length === 3);
  assert.equal(listener.states[2].isAnswering, true);
  const asked = server.paths.filter((path) => path.includes('/events?'));
  assert.ok(
    asked.every((path) => /[?&]since=[0-9]+/.test(path)),
    asked.join('\n'),
  );
});

test('an engine that is not there is told once, with the cure where there is one', async (t) => {
  const source = new EngineSource(
    { engine: 'docker', path: '/nonexistent/docker.sock', ownerUid: null },
    TIMES,
  );
  t.after(() => source.close());
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.states.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(listener.states, [
    { isAnswering: false, reason: "/nonexistent/docker.sock: ENOENT: the runtime isn't running" },
  ]);
});

test("a user's own engine is believed for containers in that user's control groups only", async (t) => {
  const { server, source } = await started(
    t,
    {
      events: (socket) => {
        answerForever(socket);
        socket.write(event(OTHER_ID) + event(ID, 'rename'));
      },
    },
    1000,
  );
  const signal = deadline();
  const ofRoot = { id: OTHER_ID, cgroupPath: `/system.slice/docker-${OTHER_ID}.scope` };
  assert.equal(await source.find(ofRoot, signal), null);
  const ofAnother = { id: OTHER_ID, cgroupPath: `/user.slice/user-10001.slice/docker-${OTHER_ID}.scope` };
  assert.equal(await source.find(ofAnother, signal), null);
  assert.deepEqual(server.paths, []);
  const own = { id: ID, cgroupPath: `/user.slice/user-1000.slice/user@1000.service/docker-${ID}.scope` };
  assert.equal((await source.find(own, signal))?.name, 'web');
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length === 1);
  assert.equal(listener.changes[0].id, ID);
});

test("a user's engine is read to a quarter of a mebibyte an answer and a mebibyte a second; root's is not held to it", async (t) => {
  const bytes = (length: number): Handler => json({ Id: ID, Name: '/web', Padding: 'x'.repeat(length) });
  const uid = 1004;
  const { server, source, find } = await started(t, { inspect: bytes(USER_ANSWER_BYTES_MAX) }, uid);
  const own = { id: ID, cgroupPath: `/user.slice/user-${uid}.slice/user@${uid}.service/docker-${ID}.scope` };
  await assert.rejects(source.find(own, deadline()), { code: 'too_long' });
  server.handler = engine({ inspect: bytes(USER_ANSWER_BYTES_MAX - 1000) });
  const beganMs = performance.now();
  const codes: string[] = [];
  for (let count = 0; count < 20; count++) {
    const code = source.find(own, deadline()).then(
      () => 'answered',
      (error: unknown) => (error as EngineError).code,
    );
    codes.push(await code);
  }
  const seconds = 1 + Math.ceil((performance.now() - beganMs) / 1000);
  const answered = codes.filter((code) => code === 'answered').length;
  assert.ok(answered >= 3 && answered <= 4 * seconds, `${answered} answers in ${seconds} s`);
  assert.deepEqual(new Set(codes), new Set(['answered', 'too_many']));
  assert.equal(await find(), null, 'a user tells nothing of other groups');
  const roots = await started(t, { inspect: bytes(2 * USER_ANSWER_BYTES_MAX) });
  for (let count = 0; count < 4; count++) assert.equal((await roots.find())?.name, 'web');
});
