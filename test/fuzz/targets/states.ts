// The state files of runtimes, which belong to whoever runs the containers.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  assertStateRead,
  STATE_CASES,
  stateDamage,
  writeState,
  type Damage,
} from '../../helpers/state-cases.ts';
import type { FuzzTarget } from '../fuzz.ts';

const folder = mkdtempSync(join(tmpdir(), 'fdspan-fuzz-states-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const stateCase of STATE_CASES) await writeState(stateCase, join(folder, stateCase.name));

export const RUNTIME_STATES: FuzzTarget<{ index: number; damage: Damage }> = {
  title: 'state files of runc, crun, containerd and podman, any JSON and any bytes',
  // Reason: two writes of a file for each.
  weight: 1 / 100,
  input: fc.record({ index: fc.nat({ max: STATE_CASES.length - 1 }), damage: stateDamage }),
  judge: async ({ index, damage }) => {
    const stateCase = STATE_CASES[index];
    return assertStateRead(stateCase, join(folder, stateCase.name), damage);
  },
  expected: ['found', 'nothing', 'refused'],
};
