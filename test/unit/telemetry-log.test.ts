import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, REPEATS_PER_MINUTE_MAX, type LogLevel } from '../../src/telemetry/log.ts';

function logger(options: { level?: LogLevel; isTerminal?: boolean } = {}) {
  const lines: string[] = [];
  const clock = { nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6) };
  const log = createLogger({
    level: options.level ?? 'info',
    isTerminal: options.isTerminal ?? false,
    stream: { write: (line: string) => lines.push(line) },
    nowMs: () => clock.nowMs,
  });
  return {
    log,
    lines,
    clock,
    objects: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

test('a line is one JSON object with time, level, msg and the fields', () => {
  const { log, lines } = logger();
  log.info('ready', { attach: 'tracepoint', big: 2n ** 60n, small: 7n });
  assert.deepEqual(lines, [
    '{"time":"2026-01-02T03:04:05.006Z","level":"info","msg":"ready","attach":"tracepoint","big":"1152921504606846976","small":7}\n',
  ]);
});

test('levels below the wanted one are not written', () => {
  const { log, lines } = logger({ level: 'warn' });
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  assert.equal(lines.length, 2);
});

test('an error carries its code and its causes', () => {
  const { log, objects } = logger();
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  log.warn('sending', { error: Object.assign(new Error('sending failed', { cause }), { code: 'SEND' }) });
  assert.deepEqual(objects()[0].error, {
    message: 'sending failed',
    code: 'SEND',
    cause: { message: 'refused', code: 'ECONNREFUSED' },
  });
});

test('fields can neither replace time, level and msg nor break the line', () => {
  const { log, objects } = logger();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  log.info('x', { msg: 'forged', 'a\n"b': 1, loop });
  const [line] = objects();
  assert.equal(line.msg, 'x');
  assert.equal(line._msg, 'forged');
  assert.equal(line['a\n"b'], 1);
  assert.match(String(line.loop), /not written/);
});

for (const isTerminal of [false, true]) {
  test(`control characters and bidi overrides never reach the stream (terminal: ${isTerminal})`, () => {
    const { log, lines } = logger({ isTerminal });
    const hostile = '\x1b[2J\r\n\u009b31m\u202efdp.exe\u2066\u200b\ud800';
    log.info(`read ${hostile}`, { path: hostile, [hostile]: 1 });
    assert.equal(lines.length, 1);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(lines[0].slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u200b\u202e\u2066\ud800]/);
    if (!isTerminal) assert.equal((JSON.parse(lines[0]) as { path: string }).path, hostile);
  });
}

test('a repeating message is written ten times a minute, and the rest is counted and told once', () => {
  const { log, objects, clock } = logger();
  for (let i = 0; i < 1000; i++) log.warn('backend is down', { i });
  log.info('another');
  assert.equal(objects().length, REPEATS_PER_MINUTE_MAX + 1);
  clock.nowMs += 60_000;
  log.info('a minute later');
  const told = objects().filter(({ repeated }) => repeated !== undefined);
  assert.deepEqual(
    told.map(({ msg, repeated }) => [msg, repeated]),
    [['backend is down', 1000 - REPEATS_PER_MINUTE_MAX]],
  );
  log.warn('backend is down');
  assert.equal(objects().at(-1)?.repeated, undefined);
});

test('flush tells the repeats that are not yet told', () => {
  const { log, objects } = logger();
  for (let i = 0; i < 12; i++) log.warn('x');
  log.flush();
  assert.equal(objects().at(-1)?.repeated, 2);
  log.flush();
  assert.equal(objects().length, REPEATS_PER_MINUTE_MAX + 1);
});

test('a stream that throws does not stop the program', () => {
  const stream = {
    write: () => {
      throw new Error('EPIPE');
    },
  };
  createLogger({ level: 'info', isTerminal: false, stream }).info('x');
});

test('lines that the stream could not take are counted, and told once when it takes lines again', () => {
  const lines: string[] = [];
  const disk = { isFull: true };
  const stream = {
    write: (line: string, done?: (error?: Error | null) => void) => {
      if (!disk.isFull) lines.push(line);
      done?.(disk.isFull ? Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }) : null);
    },
  };
  const log = createLogger({ level: 'info', isTerminal: false, stream });
  log.info('a');
  log.info('b');
  log.warn('c');
  disk.isFull = false;
  log.info('d');
  log.info('e');
  const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    told.map(({ msg }) => msg),
    ['d', 'lines of this log could not be written', 'e'],
  );
  assert.equal(told[1].lines, 3);
  assert.equal((told[1].error as Record<string, unknown>).code, 'ENOSPC');
});
