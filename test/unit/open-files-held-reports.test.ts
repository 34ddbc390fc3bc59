// When the table is looked at for files that are due.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { HeldReports } from '../../src/open-files/held-reports.ts';

const NEVER = 0xffff_ffff_ffff_ffffn;
const MINUTE_MS = 60_000;

interface Looks {
  readonly atMs: number[];
  readonly reports: HeldReports;
  /** Lets the time pass, timer by timer. */
  readonly pass: (ms: number) => Promise<void>;
}

/** `due` gives, for a look at that time, when the next report is due (ms), or null for a full ring. */
function start(
  t: TestContext,
  afterMs: number,
  everyMs: number,
  due: (nowMs: number) => number | null,
): Looks {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = { ms: 0 };
  const atMs: number[] = [];
  const reports = new HeldReports({
    afterMs,
    everyMs,
    bootNs: () => BigInt(clock.ms) * 1_000_000n,
    report: async () => {
      atMs.push(clock.ms);
      const next = due(clock.ms);
      if (next === null) return null;
      return next === Infinity ? NEVER : BigInt(next) * 1_000_000n;
    },
    onError: (error) => assert.fail(error as Error),
  });
  reports.start();
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.ms += 100;
      t.mock.timers.tick(100);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    }
  };
  return { atMs, reports, pass };
}

test('where nothing is due, the table is looked at once each `after`', async (t) => {
  const { atMs, pass } = start(t, 5 * MINUTE_MS, 60 * MINUTE_MS, () => Infinity);
  await pass(16 * MINUTE_MS);
  assert.deepEqual(atMs, [5000, 5000 + 5 * MINUTE_MS, 5000 + 10 * MINUTE_MS, 5000 + 15 * MINUTE_MS]);
});

test('a report is made when it is due, and looks are never closer than five seconds', async (t) => {
  const { atMs, pass } = start(t, 5 * MINUTE_MS, 60 * MINUTE_MS, (nowMs) => nowMs + 7000);
  await pass(20_000);
  assert.deepEqual(atMs, [5000, 12_000, 19_000]);
  t.mock.timers.reset();
  const busy = start(t, 5 * MINUTE_MS, 60 * MINUTE_MS, (nowMs) => nowMs);
  await busy.pass(16_000);
  assert.deepEqual(busy.atMs, [5000, 10_000, 15_000]);
});

test('after a full ring the next look comes soon', async (t) => {
  const { atMs, pass } = start(t, 5 * MINUTE_MS, 60 * MINUTE_MS, () => null);
  await pass(11_000);
  assert.deepEqual(atMs, [5000, 10_000]);
});

test('spans.held.after 0 never looks, and a stop ends the looks', async (t) => {
  const off = start(t, 0, MINUTE_MS, () => Infinity);
  await off.pass(10 * MINUTE_MS);
  assert.deepEqual(off.atMs, []);
  t.mock.timers.reset();
  const { atMs, reports, pass } = start(t, 1000, 0, (nowMs) => nowMs);
  await pass(300);
  await reports.stop();
  await pass(1000);
  assert.deepEqual(atMs, [100, 200, 300]);
});

test('other times hold at once, whether a look was due late, never, or is going on', async (t) => {
  const { atMs, reports, pass } = start(t, 0, 0, () => Infinity);
  await pass(MINUTE_MS);
  reports.change({ afterMs: 1000, everyMs: 0 });
  await pass(2300);
  assert.deepEqual(
    atMs.map((ms) => ms - MINUTE_MS),
    [100, 1100, 2100],
  );
  reports.change({ afterMs: 5 * MINUTE_MS, everyMs: 0 });
  await pass(6 * MINUTE_MS);
  assert.deepEqual(
    atMs.slice(3).map((ms) => ms - MINUTE_MS),
    [7300, 7300 + 5 * MINUTE_MS],
  );
  reports.change({ afterMs: 0, everyMs: MINUTE_MS });
  await pass(10 * MINUTE_MS);
  assert.equal(atMs.length, 5, 'no look once it is off');
});

test('times that change during a look hold from its end on', async (t) => {
  const { atMs, reports, pass } = start(t, MINUTE_MS, 0, () => {
    if (atMs.length === 1) reports.change({ afterMs: 1000, everyMs: 0 });
    return Infinity;
  });
  await pass(6200);
  assert.deepEqual(atMs, [5000, 5100, 6100]);
});
