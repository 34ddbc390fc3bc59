// Target rates under a load that grows tenfold and falls again, in real time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { SpanTally } from '../helpers/span-tally.ts';
import { startWorkload, type Workload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const TARGET = 500;
/** Of one load; some 450 µs an open with the system's own delays. */
const PAUSE_NS = 400_000;
const OPENS_EACH = 10;
const PHASE_OPENS = 40_000;
const MORE_LOADS = 9;

for (const key of ['host', 'container'] as const)
  test(
    `sampling.target.${key}: ${TARGET}/s is met within 10 % while the load grows tenfold and falls again`,
    { skip },
    async (t) => {
      const group = makeContainerGroup();
      t.after(() => group.remove());
      const tally = new SpanTally();
      const receiver = await startReceiver({
        protocol: 'http/protobuf',
        decode: 'count',
        watch: (request) => tally.take(request),
      });
      t.after(() => receiver.close());
      const collector = await startCollector({
        endpoint: receiver.endpoint,
        protocol: 'http/protobuf',
        containerIds: [group.id],
        set: { [`sampling.target.${key}`]: String(TARGET), 'sampling.keep': '[]' },
      });
      t.after(() => collector.kill());
      const start = async (phases: number): Promise<Workload> => {
        const workload = await startWorkload({
          scenario: 'swarm',
          count: phases * PHASE_OPENS,
          procsFiles: [group.procsFile],
          arguments: [String(OPENS_EACH), String(OPENS_EACH), String(PAUSE_NS)],
        });
        t.after(() => workload.end());
        return workload;
      };
      const all = await start(3);
      const first = await start(1);
      const more = await Promise.all(Array.from({ length: MORE_LOADS }, () => start(1)));
      const marks = [Date.now()];
      all.go();
      first.go();
      await first.finished();
      marks.push(Date.now());
      for (const workload of more) workload.go();
      await Promise.all(more.map((workload) => workload.finished()));
      marks.push(Date.now());
      await all.finished();
      marks.push(Date.now());
      const { counters } = await collector.stop();
      const seconds = (marks[3] - marks[0]) / 1000;
      const { spans, estimate } = tally.containers.get(group.id)!;
      for (let phase = 0; phase < 3; phase += 1) {
        const inside = [...tally.bySecond].filter(
          ([second]) => second * 1000 >= marks[phase] && (second + 1) * 1000 <= marks[phase + 1],
        );
        const rate = inside.reduce((sum, [, count]) => sum + count, 0) / Math.max(1, inside.length);
        t.diagnostic(`phase ${phase + 1}: ${rate.toFixed(0)} spans/s over ${inside.length} s`);
      }
      const error = (100 * (estimate - counters.opens_in_scope)) / counters.opens_in_scope;
      t.diagnostic(
        `${spans} spans of ${counters.opens_in_scope} opens in ${seconds.toFixed(1)} s: ` +
          `${(spans / seconds).toFixed(1)}/s; estimated ${Math.round(estimate)} (${error.toFixed(2)} %)`,
      );
      assert.ok(Math.abs(spans / seconds - TARGET) <= 0.1 * TARGET, `${spans / seconds} spans/s`);
      assert.ok(Math.abs(error) <= 10, `${error} %`);
    },
  );
