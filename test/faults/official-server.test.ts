// gRPC's official server, which ends connections by its own rules while requests are under way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { eventually, hasWarned, startLoad, startTracing, tellOutcome } from '../helpers/fault-run.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { SpanCensus } from '../helpers/span-census.ts';

const skip = whyNoKernelTests() ?? false;
const AGE_MS = 300;

test(
  `grpc: the official server ends each connection after ${AGE_MS} ms, and no request fails`,
  { skip },
  async (t) => {
    const census = new SpanCensus();
    const receiver = await startReceiver({
      protocol: 'grpc',
      server: 'grpc-js',
      connectionAgeMs: AGE_MS,
      decode: 'count',
      watch: census.take,
    });
    t.after(() => receiver.close());
    const load = await startLoad(t);
    const collector = await startTracing(t, load, { endpoint: receiver.endpoint });
    load.begin();
    await receiver.waitFor(({ requests }) => requests.length >= 25, 60_000);
    const files = await load.end();
    const { counters } = await collector.stop();
    assert.equal(counters.spans_accepted, files);
    assert.equal(counters.requests_retried, 0);
    tellOutcome(t, `the official server ends each connection after ${AGE_MS} ms`, 'grpc', {
      files,
      counters,
      census,
    });
  },
);

test(
  'grpc: the official server is shut down at once, and started again: no span is lost',
  { skip },
  async (t) => {
    const census = new SpanCensus();
    const options = { protocol: 'grpc', server: 'grpc-js', decode: 'count', watch: census.take } as const;
    let receiver = await startReceiver(options);
    t.after(() => receiver.close());
    const { port, endpoint } = receiver;
    const load = await startLoad(t);
    const collector = await startTracing(t, load, { endpoint });
    load.begin();
    for (let turn = 0; turn < 5; turn += 1) {
      await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
      await receiver.close();
      if (turn === 0) await eventually('the failure', () => hasWarned(collector, /does not take spans/));
      receiver = await startReceiver({ ...options, port });
    }
    await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
    const files = await load.end();
    const { counters } = await collector.stop();
    assert.equal(counters.spans_accepted, files);
    tellOutcome(t, 'the official server is shut down and started again', 'grpc', {
      files,
      counters,
      census,
      allowsDuplicates: true,
    });
  },
);
