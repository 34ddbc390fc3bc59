// The two builds of the programs: which one is taken, and that the one of older kernels finds the same.
import assert from 'node:assert/strict';
import { release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Btf } from '../../src/bpf/btf.ts';
import { chooseReads } from '../../src/bpf/object-file.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced, tracedRun } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const PROBE = { 'kernel.reads': 'probe' };

test('the direct loads are taken where the kernel has bpf_rdonly_cast, from 6.2 on', { skip }, () => {
  const [major, minor] = release().split('.').map(Number);
  const kernel = Btf.open(null);
  // The types of our own header: a BTF that has no such function.
  const other = Btf.open(join(import.meta.dirname, '../../bpf/build/layout.o'));
  assert.equal(chooseReads('auto', kernel), major > 6 || (major === 6 && minor >= 2) ? 'cast' : 'probe');
  assert.equal(chooseReads('auto', other), 'probe');
  assert.equal(chooseReads('cast', other), 'cast');
  assert.equal(chooseReads('probe', kernel), 'probe');
  kernel.close();
  other.close();
});

test('the build in use is logged at the start', { skip }, async () => {
  const { logs } = await tracedRun({ scenario: 'plain-closes', count: 3, set: PROBE });
  assert.equal(logs.find(({ msg }) => msg === 'ready')?.reads, 'probe');
});

const SCENARIOS: readonly (readonly [
  scenario: string,
  count: number,
  set?: Readonly<Record<string, string>>,
])[] = [
  ['every-open', 13],
  ['long-paths', 3],
  ['odd-names', 7],
  ['mounts', 5],
  ['no-spans', 11],
  ['failed-opens', 7],
  ['interrupted-opens', 7, { 'files.types': '[regular, fifo]', 'spans.failed_opens': '[EINTR]' }],
  ['plain-closes', 101],
  ['close-ranges', 17],
  ['duplicates', 13],
  ['racing-closes', 101],
  ['execs', 7],
  ['exits', 31],
  ['group-exits', 101],
  ['forks', 31],
  ['shared-table-execs', 13],
];

for (const [scenario, count, set] of SCENARIOS)
  test(
    `with reads by helper calls, ${scenario} gives the spans that the workload tells`,
    { skip },
    async (t) => {
      await assertTraced(t, { scenario, count, set: { ...PROBE, ...set } });
    },
  );
