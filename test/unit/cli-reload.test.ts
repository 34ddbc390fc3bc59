// What a reload tells of keys: each that changed takes effect, or is named as one that needs a restart, until it has had one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReload, RELOADABLE_KEYS } from '../../src/cli/reload.ts';
import { loadConfig } from '../../src/config/load.ts';
import { KEYS } from '../../src/config/schema.ts';
import type { Logger, LogFields } from '../../src/telemetry/log.ts';

const load = (...sets: readonly string[]) => loadConfig({ sets, env: {} });

interface Told {
  readonly level: string;
  readonly msg: string;
  readonly fields: LogFields | undefined;
}

/** Reloads to each of the configurations in turn; returns what was logged of each. */
async function reloads(first: readonly string[], ...next: readonly (readonly string[])[]): Promise<Told[][]> {
  const told: Told[] = [];
  const log: Logger = {
    error: (msg, fields) => void told.push({ level: 'error', msg, fields }),
    warn: (msg, fields) => void told.push({ level: 'warn', msg, fields }),
    info: (msg, fields) => void told.push({ level: 'info', msg, fields }),
    debug: () => {},
    flush: () => {},
  };
  const results: Told[][] = [];
  let sets: readonly string[] = [];
  const reload = createReload(load(...first), { load: () => load(...sets), apply: async () => {}, log });
  for (sets of next) {
    reload();
    // Its last line.
    while (!told.some(({ level }) => level === 'info')) await new Promise((resolve) => setImmediate(resolve));
    results.push(told.splice(0));
  }
  return results;
}

test('every key that a reload changes is a key', () => {
  for (const key of RELOADABLE_KEYS) assert.ok(key in KEYS, key);
});

test('every other key that changed is named as one that needs a restart, until the old value is back', async () => {
  const changed = ['limits.open_files=2048', 'export.timeout=3s', 'spans.held.after=1m'];
  const [first, again, back] = await reloads([], changed, changed, ['spans.held.after=1m']);
  const restart = { level: 'warn', msg: 'some changes of the configuration need a restart' };
  const keys = { keys: ['export.timeout', 'limits.open_files'] };
  assert.deepEqual(first, [
    { ...restart, fields: keys },
    { level: 'info', msg: 'configuration reloaded', fields: { changed: ['spans.held.after'] } },
  ]);
  assert.deepEqual(again, [
    { ...restart, fields: keys },
    { level: 'info', msg: 'configuration reloaded', fields: { changed: [] } },
  ]);
  assert.deepEqual(back, [{ level: 'info', msg: 'configuration reloaded', fields: { changed: [] } }]);
});
