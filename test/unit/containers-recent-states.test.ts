import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RecentStates } from '../../src/containers/recent-states.ts';

/** Reason: the kernel tells within milliseconds; 10 s mean that it doesn't. */
const DEADLINE_MS = 10_000;

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-states-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function isSeen(states: RecentStates, place: string): Promise<boolean> {
  for (const beganMs = performance.now(); performance.now() - beganMs < DEADLINE_MS; await delay(5)) {
    if (states.has(place)) return true;
  }
  return false;
}

test('a state that came and went is remembered, one that was there before is not', async (t) => {
  const folder = folderOf(t);
  mkdirSync(join(folder, 'before'));
  const states = new RecentStates([folder, '/nowhere/at/all']);
  t.after(() => states.close());
  mkdirSync(join(folder, 'short'));
  rmdirSync(join(folder, 'short'));
  assert.equal(await isSeen(states, join(folder, 'short')), true);
  assert.equal(states.has(join(folder, 'before')), false);
});

test('a folder that appears later, and one that was made anew, are watched from the next look on', async (t) => {
  const folder = join(folderOf(t), 'runc');
  const states = new RecentStates([folder]);
  t.after(() => states.close());
  for (const name of ['first', 'second']) {
    mkdirSync(folder);
    states.watchNew();
    mkdirSync(join(folder, name));
    assert.equal(await isSeen(states, join(folder, name)), true, name);
    rmSync(folder, { recursive: true });
    states.watchNew();
  }
});

test('of 4,200 states the oldest are forgotten', async (t) => {
  const folder = folderOf(t);
  const states = new RecentStates([folder]);
  t.after(() => states.close());
  for (let index = 0; index < 4200; index++) {
    mkdirSync(join(folder, String(index)));
    // The kernel queues 16,384 events at most, and says so by losing them.
    if (index % 525 === 524) assert.equal(await isSeen(states, join(folder, String(index))), true);
  }
  assert.equal(states.has(join(folder, '0')), false);
  assert.equal(states.has(join(folder, '4100')), true);
});
