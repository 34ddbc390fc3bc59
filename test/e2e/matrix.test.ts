// The compatibility matrix: for each runtime, each way to make control groups and each kind of host, two containers at
// once whose spans must say whose they are. `npm run test:matrix` runs all of it and can write docs/compatibility.md.
import { test } from 'node:test';
import { runCell, type Cell } from './matrix/cell.ts';
import { MACHINE_CELLS } from './matrix/machine.ts';
import { SYSTEMD_CELLS } from './matrix/systemd.ts';

const cells: readonly Cell[] = [...MACHINE_CELLS, ...SYSTEMD_CELLS];
const isWhole = process.env.FDSPAN_TEST_MATRIX === 'all';

function whyNot(cell: Cell): string | false {
  if (!cell.isQuick && !isWhole) return 'npm run test:matrix runs it (FDSPAN_TEST_MATRIX=all)';
  return cell.whyNot() ?? false;
}

for (const cell of cells) {
  const title = `${cell.runtime}, groups by ${cell.groups}, on ${cell.host}: each span tells its container, name, image, labels and runtime`;
  test(title, { skip: whyNot(cell) }, async (t) => {
    await runCell(t, await cell.start(t));
  });
}
