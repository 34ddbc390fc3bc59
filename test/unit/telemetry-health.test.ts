import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from '../../src/telemetry/health.ts';

function setUp() {
  const state = { nowMs: 1000, pumpTurnedMs: 5, isAttached: true as boolean | null, tests: 0 };
  const health = new Health(() => state.nowMs);
  const watch = (): void =>
    health.watch({
      get pumpTurnedMs() {
        return state.pumpTurnedMs;
      },
      get isAttached() {
        state.tests += 1;
        return state.isAttached;
      },
    });
  return { state, health, watch };
}

test('before it is attached it is alive, but not ready', (t) => {
  const { state, health, watch } = setUp();
  t.after(() => health.stopping());
  assert.equal(health.whyNotAlive(), null);
  assert.equal(health.whyNotReady(), 'not attached yet');
  watch();
  assert.equal(health.whyNotReady(), null);
  state.nowMs += 30_001;
  assert.notEqual(health.whyNotAlive(), null);
});

test('it is alive while the pump turns, though nobody asks, and dead 30 s after its last turn', (t) => {
  const { state, health, watch } = setUp();
  t.after(() => health.stopping());
  watch();
  for (let second = 0; second < 100; second += 1) {
    state.nowMs += 1000;
    state.pumpTurnedMs += 1;
    health.look();
  }
  state.nowMs += 30_000;
  assert.equal(health.whyNotAlive(), null);
  state.nowMs += 1;
  assert.equal(health.whyNotAlive(), 'the pump stands for 30 s');
  state.pumpTurnedMs += 1;
  assert.equal(health.whyNotAlive(), null);
});

test('a pump that turned backwards in time, after a step of its clock, has turned', (t) => {
  const { state, health, watch } = setUp();
  t.after(() => health.stopping());
  watch();
  state.nowMs += 31_000;
  state.pumpTurnedMs = -1e9;
  assert.equal(health.whyNotAlive(), null);
});

test('programs that see nothing make it unready, and are tried once a second at most', (t) => {
  const { state, health, watch } = setUp();
  t.after(() => health.stopping());
  watch();
  for (let count = 0; count < 100; count += 1) assert.equal(health.whyNotReady(), null);
  assert.equal(state.tests, 1);
  state.isAttached = false;
  state.nowMs += 1000;
  assert.match(health.whyNotReady() ?? '', /see an open/);
  state.isAttached = null;
  state.nowMs += 1000;
  assert.equal(health.whyNotReady(), null, 'what could not be tried is no reason');
});

test('while it stops it is alive and not ready', () => {
  const { state, health, watch } = setUp();
  watch();
  health.stopping();
  state.nowMs += 100_000;
  assert.equal(health.whyNotAlive(), null);
  assert.equal(health.whyNotReady(), 'stopping');
});
