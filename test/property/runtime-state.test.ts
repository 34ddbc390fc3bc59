// State files of any content: a look-up gives nothing, text within its bounds, or a StateFileError.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { assertStateRead, STATE_CASES, stateDamage, writeState } from '../helpers/state-cases.ts';

for (const stateCase of STATE_CASES) {
  test(`${stateCase.name}: any change of its state gives nothing, bounded text or a StateFileError`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'fdspan-state-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeState(stateCase, folder);
    await fc.assert(
      fc.asyncProperty(
        stateDamage,
        async (damage) => void (await assertStateRead(stateCase, folder, damage)),
      ),
      { numRuns: 200 },
    );
  });
}
