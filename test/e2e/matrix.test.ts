// The compatibility matrix: for each runtime, each way to make control groups and each kind of host, two containers at
// once whose spans must say whose they are. FDSPAN_TEST_MATRIX=all runs the slow cells too, and with
// FDSPAN_WRITE_COMPATIBILITY=1 what was seen goes to docs/compatibility.md.
import { after, test, type TestContext } from 'node:test';
import { runCell, type Cell, type CellOutcome, type StartedCell } from './matrix/cell.ts';
import { GVISOR_CELLS } from './matrix/gvisor.ts';
import { MACHINE_CELLS } from './matrix/machine.ts';
import { POD_CELLS } from './matrix/pods.ts';
import { SYSTEMD_CELLS } from './matrix/systemd.ts';
import { writeCompatibility } from './matrix/table.ts';

const cells: readonly Cell[] = [...MACHINE_CELLS, ...POD_CELLS, ...GVISOR_CELLS, ...SYSTEMD_CELLS];
const isWhole = process.env.FDSPAN_TEST_MATRIX === 'all';
const outcomes = new Map<Cell, CellOutcome>();

function whyNot(cell: Cell): string | false {
  if (!cell.isQuick && !isWhole) return 'npm run test:matrix runs it (FDSPAN_TEST_MATRIX=all)';
  return cell.whyNot() ?? false;
}

/** Null where the tool refuses to: the reason is in its own words. Any other failure is one of the test. */
async function start(t: TestContext, cell: Cell): Promise<StartedCell | null> {
  try {
    return await cell.start(t);
  } catch (error) {
    const reason = cell.refusal?.exec((error as Error).message)?.[0];
    if (reason === undefined) throw error;
    outcomes.set(cell, { type: 'refused', reason });
    t.skip(reason);
    return null;
  }
}

for (const cell of cells) {
  const claim =
    cell.limit === undefined
      ? 'each span tells its container, name, image, labels and runtime'
      : `no span, as ${cell.limit}`;
  const reason = whyNot(cell);
  if (reason !== false) outcomes.set(cell, { type: 'refused', reason });
  test(
    `${cell.runtime}, groups by ${cell.groups}, on ${cell.host}: ${claim}`,
    { skip: reason },
    async (t) => {
      const started = await start(t, cell);
      if (started === null) return;
      const [container] = await runCell(t, started, cell.limit);
      outcomes.set(cell, { type: 'seen', container, runtimes: started.runtimes });
    },
  );
}

after(async () => {
  if (process.env.FDSPAN_WRITE_COMPATIBILITY === '1') await writeCompatibility(cells, outcomes);
});
