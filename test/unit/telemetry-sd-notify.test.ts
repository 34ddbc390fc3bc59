import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSdNotifier } from '../../src/telemetry/sd-notify.ts';

function notifier(environment: Record<string, string>, pid = 42) {
  const sent: [string, string][] = [];
  const sd = createSdNotifier({ environment, pid, send: (path, text) => sent.push([path, text]) });
  return { sd, sent };
}

test('without NOTIFY_SOCKET nothing is sent', () => {
  const { sd, sent } = notifier({ WATCHDOG_USEC: '1000' });
  sd.ready('x');
  sd.stopping();
  assert.equal(sd.isActive, false);
  assert.equal(sd.watchdogIntervalMs, null);
  assert.deepEqual(sent, []);
});

test('READY and STOPPING are each sent once', () => {
  const { sd, sent } = notifier({ NOTIFY_SOCKET: '/run/n' });
  sd.ready('attached');
  sd.ready('attached');
  sd.stopping();
  sd.stopping();
  assert.deepEqual(sent, [
    ['/run/n', 'READY=1\nSTATUS=attached'],
    ['/run/n', 'STOPPING=1\nSTATUS=stopping'],
  ]);
});

test('a status cannot forge another assignment', () => {
  const { sd, sent } = notifier({ NOTIFY_SOCKET: '@abstract' });
  sd.status('a\nMAINPID=1\r\n');
  assert.deepEqual(sent, [['\0abstract', 'STATUS=a MAINPID=1 ']]);
});

test('the watchdog interval is half of WATCHDOG_USEC, and only for the watched process', () => {
  const environment = { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '30000000' };
  assert.equal(notifier(environment).sd.watchdogIntervalMs, 15_000);
  assert.equal(notifier({ ...environment, WATCHDOG_PID: '42' }).sd.watchdogIntervalMs, 15_000);
  assert.equal(notifier({ ...environment, WATCHDOG_PID: '43' }).sd.watchdogIntervalMs, null);
  assert.equal(notifier({ ...environment, WATCHDOG_USEC: 'soon' }).sd.watchdogIntervalMs, null);
});

test('the watchdog is fed only while the pump turns, and not after the stop', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const { sd, sent } = notifier({ NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '2000000' });
  let turnedMs = 1000;
  sd.startWatchdog(() => turnedMs);
  for (let second = 0; second < 3; second++) {
    turnedMs += 999;
    context.mock.timers.tick(1000);
  }
  assert.deepEqual(sent, Array(3).fill(['/run/n', 'WATCHDOG=1']));
  context.mock.timers.tick(3000);
  assert.equal(sent.length, 3, 'the pump has stopped');
  turnedMs = 500;
  context.mock.timers.tick(1000);
  assert.equal(sent.length, 4, 'it turned, though the wall clock was set back');
  sd.stopping();
  turnedMs += 999;
  context.mock.timers.tick(3000);
  assert.equal(sent.length, 5, 'STOPPING is the last');
});

test('a status is sent every 10 s, and not after the stop', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const { sd, sent } = notifier({ NOTIFY_SOCKET: '/run/n' });
  let looks = 0;
  sd.startStatus(() => `look ${++looks}`);
  context.mock.timers.tick(20_000);
  sd.stopping();
  context.mock.timers.tick(20_000);
  const texts = sent.map(([, text]) => text);
  assert.deepEqual(texts, ['STATUS=look 1', 'STATUS=look 2', 'STOPPING=1\nSTATUS=stopping']);
});

test('without a service manager no status is made', () => {
  const { sd } = notifier({});
  sd.startStatus(() => assert.fail('looked at the counters for nobody'));
});

test('a socket that cannot be written to is told once and not tried again', () => {
  let errors = 0;
  let tries = 0;
  const sd = createSdNotifier({
    environment: { NOTIFY_SOCKET: '/run/n' },
    send: () => {
      tries++;
      throw new Error('ENOENT');
    },
    onError: () => errors++,
  });
  sd.ready('x');
  sd.status('y');
  assert.deepEqual([tries, errors], [1, 1]);
});
