import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { Patience } from '../../src/containers/patience.ts';

test('an answer that came while the process stalled is in time', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-patience-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'state'), 'answer');
  const patience = new Patience(300);
  t.after(() => patience.end());
  const answer = readFile(join(folder, 'state'), { encoding: 'utf8', signal: patience.signal });
  const endMs = performance.now() + 600;
  while (performance.now() < endMs);
  assert.equal(await answer, 'answer');
  assert.equal(patience.signal.aborted, false);
});

test('patience ends when there is no answer, and not once it was ended', async () => {
  const [lost, ended] = [new Patience(60), new Patience(60)];
  ended.end();
  const beganMs = performance.now();
  await once(lost.signal, 'abort');
  assert.ok(performance.now() - beganMs >= 60 - 2, 'timers may be a millisecond early');
  assert.match(String(lost.signal.reason), /no answer within 60 ms/);
  assert.equal(ended.signal.aborted, false);
});
