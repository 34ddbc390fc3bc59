// As many files open at once as the machine allows, and as many processes one after the other: every open is counted, and
// every tracked one ends with its process. LIMITS_DESCRIPTORS (1,000,000) and LIMITS_PROCESSES (10,000) set the sizes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Counters } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';
import { tracedRun } from '../kernel/traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const DESCRIPTORS = Number(process.env.LIMITS_DESCRIPTORS ?? 1_000_000);
const PROCESSES = Number(process.env.LIMITS_PROCESSES ?? 10_000);
const DEFAULT_TABLE = 262_144;
/** Bytes of kernel memory: an open file with its entry, and what the table takes at twice as many. */
const FILE_BYTES = 600 + 2 * 2 * 456;

/** Holds DESCRIPTORS files open, lets their processes exit, and stops; the stop asserts the law. */
async function holdAndExit(t: TestContext, openFilesMax: number): Promise<Counters> {
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const receiver = await startReceiver({ protocol: 'http/protobuf', decode: 'count' });
  t.after(() => receiver.close());
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: [group.id],
    // No runtime knows the group; the rest is of no use here.
    set: {
      'limits.open_files': String(openFilesMax),
      'limits.metadata_wait': '1ms',
      'limits.ring': '64MiB',
      'spans.attributes': 'lean',
      'limits.stop_deadline': '60s',
    },
  });
  t.after(() => collector.kill());
  const workload = await startWorkload({
    scenario: 'hold',
    count: DESCRIPTORS,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  workload.go();
  const { processes } = await workload.line('holding');
  t.diagnostic(`${DESCRIPTORS} files held by ${String(processes)} processes`);
  workload.go();
  await workload.finished();
  const { counters } = await collector.stop();
  for (const name of ['opens_tracked', 'open_table_full', 'ring_full', 'spans_accepted'])
    t.diagnostic(`${name} ${counters[name]}`);
  return counters;
}

/**
 * All opens are counted. Opens of other containers of this machine, until they are denied, are in the counters too; in a full
 * ring they can't be told from the workload's.
 */
function assertOpens(counters: Counters, opens: number): void {
  const own = counters.opens_in_scope - counters.container_denied;
  assert.ok(own >= opens, `${own} of ${opens} opens`);
  if (counters.ring_full === 0 && counters.open_table_full === 0) assert.equal(own, opens);
}

function whyNotAll(): string | false {
  if (skip !== false) return skip;
  const available =
    Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
  const needed = DESCRIPTORS * FILE_BYTES + 2 ** 30;
  return available < needed && `${needed} bytes of memory are needed, ${available} are available`;
}

test(
  `${DESCRIPTORS} files open at once: what the default table doesn't hold is counted`,
  { skip },
  async (t) => {
    const counters = await holdAndExit(t, DEFAULT_TABLE);
    assertOpens(counters, DESCRIPTORS);
    assert.ok(counters.open_table_full >= DESCRIPTORS - DEFAULT_TABLE);
    assert.ok(counters.opens_tracked >= Math.min(DESCRIPTORS, DEFAULT_TABLE * 0.9), 'the table is used');
    assert.equal(counters.still_open, 0, 'all have ended with their processes');
    assert.equal(counters.pairs_lost, 0);
  },
);

test(
  `${DESCRIPTORS} files open at once in a table of twice as many: all end with their processes`,
  { skip: whyNotAll() },
  async (t) => {
    const counters = await holdAndExit(t, 2 * DESCRIPTORS);
    assertOpens(counters, DESCRIPTORS);
    assert.equal(counters.open_table_full, 0);
    assert.equal(counters.pairs_finished, counters.opens_in_scope);
    assert.equal(counters.still_open, 0);
    assert.equal(counters.pairs_lost, 0);
  },
);

test(`${PROCESSES} short processes, 64 at once: each has its files and one root`, { skip }, async () => {
  const [opens, left] = [3, 2];
  const { files, roots, counters } = await tracedRun({
    scenario: 'fork-bomb',
    count: PROCESSES,
    arguments: [String(opens), String(left), '64'],
    set: {
      'limits.ring': '64MiB',
      'export.queue.bytes_max': '256MiB',
      'limits.stop_deadline': '60s',
      'limits.metadata_wait': '1ms',
    },
  });
  assertOpens(counters, PROCESSES * (opens + left));
  assert.equal(counters.spans_accepted, PROCESSES * (opens + left), 'none is lost');
  assert.equal(counters.pairs_lost, 0);
  const reasons = Map.groupBy(files, ({ span }) => span.attributes['fdspan.close.reason']);
  assert.equal(reasons.get('close')?.length, PROCESSES * opens);
  assert.equal(reasons.get('exit')?.length, PROCESSES * left);
  assert.equal(roots.length, PROCESSES);
  for (const { span } of roots) {
    assert.equal(Number(span.attributes['fdspan.opens']), opens + left);
    assert.equal(span.attributes['fdspan.slice.end'], 'exit');
  }
});
