// Sampling by ratio, with as many opens as it takes for the chance to even out: what the spans stand for against what the
// kernel and the load itself have counted.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { tolerance } from '../helpers/adjusted-counts.ts';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { SpanTally } from '../helpers/span-tally.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const CONTAINERS = 3;
/** Opens of a process, and of each hundredth. */
const FEW = 5;
const MANY = 50;
const ERROR_MAX = 0.1;

/** A draw is for a process: at 1 % it takes some 200,000 of them for an error of 3 % (one standard deviation). */
const RUNS = [
  { ratio: 0.01, opensEach: 1_000_000 },
  { ratio: 0.1, opensEach: 1_000_000 },
  { ratio: 0.5, opensEach: 1_000_000 },
] as const;

function sizesOf(opens: number): number[] {
  const sizes: number[] = [];
  for (let left = opens; left > 0; left -= sizes.at(-1)!)
    sizes.push(Math.min(left, (sizes.length + 1) % 100 === 0 ? MANY : FEW));
  return sizes;
}

function report(t: TestContext, what: string, estimate: number, opens: number, expectedError: number): void {
  const error = (100 * (estimate - opens)) / opens;
  t.diagnostic(
    `${what}: ${Math.round(estimate)} estimated of ${opens}: ${error.toFixed(2)} %, standard error ${(100 * expectedError).toFixed(2)} %`,
  );
}

for (const { ratio, opensEach } of RUNS)
  test(
    `at ${100 * ratio} % the adjusted counts give all opens within 10 %, for each of ${CONTAINERS} containers and all`,
    { skip },
    async (t) => {
      const groups = Array.from({ length: CONTAINERS }, () => makeContainerGroup());
      for (const group of groups) t.after(() => group.remove());
      const tally = new SpanTally();
      const receiver = await startReceiver({
        protocol: 'http/protobuf',
        decode: 'count',
        watch: (request) => tally.take(request),
      });
      t.after(() => receiver.close());
      const workloads = await Promise.all(
        groups.map(({ procsFile }) =>
          startWorkload({
            scenario: 'swarm',
            count: opensEach,
            procsFiles: [procsFile],
            arguments: [String(FEW), String(MANY)],
          }),
        ),
      );
      for (const workload of workloads) t.after(() => workload.end());
      const collector = await startCollector({
        endpoint: receiver.endpoint,
        protocol: 'http/protobuf',
        containerIds: groups.map(({ id }) => id),
        set: {
          'sampling.ratio': String(ratio),
          'export.queue.bytes_max': '512MiB',
          'limits.ring': '64MiB',
          'limits.stop_deadline': '60s',
        },
      });
      t.after(() => collector.kill());
      for (const workload of workloads) workload.go();
      const results = await Promise.all(workloads.map((workload) => workload.finished()));
      const { counters } = await collector.stop();
      const counted = results.map(({ lines }) => Number(lines.find((line) => 'opens' in line)?.opens));
      const all = counted.reduce((sum, opens) => sum + opens, 0);
      assert.equal(counters.opens_in_scope, all, 'the kernel and the load have counted the same');
      assert.equal(counters.ring_full + counters.queue_full, 0, 'nothing was lost but by chance');
      const standardError = tolerance(sizesOf(opensEach), ratio) / 5 / opensEach;
      let estimate = 0;
      groups.forEach(({ id }, index) => {
        const own = tally.containers.get(id)!.estimate;
        estimate += own;
        report(t, `container ${index + 1}`, own, counted[index], standardError);
        assert.ok(Math.abs(own - counted[index]) <= ERROR_MAX * counted[index], `container ${index + 1}`);
      });
      report(t, 'all', estimate, all, standardError / Math.sqrt(CONTAINERS));
      assert.ok(Math.abs(estimate - all) <= ERROR_MAX * all);
    },
  );
