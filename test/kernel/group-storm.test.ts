// Groups that come and go by the thousand: the collector judges each of them, keeps nothing of them, and traces what
// starts meanwhile and afterwards.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { churnGroups } from '../helpers/group-churn.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;

/** Six groups a round. More than the policy table's 40,960 places: one that is kept for each would be found. */
const ROUNDS = 10_000;
/** Reason: garbage of a busy main thread, which is collected late; one entry for each group would be as much again. */
const GROWTH_BYTES_MAX = 160 << 20;
const FILES = 23;

function rssBytes({ pid }: Collector, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
}

test(
  '60,000 groups that come and go leave nothing behind, and what starts then is traced',
  { skip },
  async (t) => {
    const receiver = await startReceiver({ protocol: 'http/protobuf' });
    t.after(() => receiver.close());
    const groups = [makeContainerGroup(), makeContainerGroup()];
    for (const group of groups) t.after(() => group.remove());
    const [during, after] = groups;
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      protocol: 'http/protobuf',
      containerIds: groups.map(({ id }) => id),
    });
    t.after(() => collector.kill());
    const rssAtStart = rssBytes(collector, 'VmRSS');
    const churn = churnGroups(ROUNDS);
    await openFiles(t, during);
    const { groups: count, seconds } = await churn;
    await openFiles(t, after);
    const growth = rssBytes(collector, 'VmHWM') - rssAtStart;
    t.diagnostic(`${Math.round(count / seconds)} groups a second; ${growth >> 20} MiB more`);
    const { counters, otherText } = await collector.stop();
    assert.equal(otherText, '');
    for (const name of [
      'scope_table_full',
      'containers_full',
      'scopes_full',
      'unjudged_overflow',
      'ring_full',
    ]) {
      assert.equal(counters[name], 0, name);
    }
    assert.ok(growth < GROWTH_BYTES_MAX, `${growth} bytes`);
    for (const { id } of groups) {
      const own = receiver.spans.filter(({ resource }) => resource.attributes['container.id'] === id);
      assert.equal(own.length, 2 * FILES, 'two descriptors a file');
    }
    assert.equal(receiver.spans.length, 4 * FILES);
  },
);

/** Opens files in the group, by a process that is executed there. */
async function openFiles(t: TestContext, group: ContainerGroup): Promise<void> {
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: FILES,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  workload.go();
  await workload.finished();
}
