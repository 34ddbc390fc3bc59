// The pump dies of an error that nobody expected: in the worker of a collector that runs, one function of the language is made
// to throw. What the pump had given by then must not be lost with it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { grpcBackend } from '../helpers/metrics-backend.ts';
import { startReceiver, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const FILES = 20;

/** The ring's position is stored by it once a batch. */
const PRELOAD = `
import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
const store = Atomics.store;
if (!isMainThread)
  Atomics.store = (...values) => {
    if (existsSync(process.env.PUMP_DIES)) throw new Error('an error that nobody expected');
    return store(...values);
  };
`;

interface Bench {
  readonly folder: string;
  readonly group: ContainerGroup;
  readonly receiver: OtlpReceiver;
  readonly collector: Collector;
}

/** A collector whose pump can be made to die, and which has sent a request of {@link FILES} files that nobody answers. */
async function prepare(
  t: TestContext,
  set: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string>> = {},
): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-pump-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const preload = join(folder, 'preload.mjs');
  writeFileSync(preload, PRELOAD);
  const receiver = await startReceiver({ protocol: 'grpc', otherwise: { type: 'hang' } });
  t.after(() => receiver.close());
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    containerIds: [group.id],
    set,
    environment,
    prefix: ['env', `NODE_OPTIONS=--import=${preload}`, `PUMP_DIES=${join(folder, 'now')}`],
  });
  t.after(() => collector.kill());
  await openFiles(t, group);
  await receiver.waitFor(({ requests }) => requests.length > 0);
  return { folder, group, receiver, collector };
}

/** Without the roots. */
function filesOf({ spans }: Pick<OtlpReceiver, 'spans'>): number {
  return spans.filter(({ span }) => span.attributes['file.path'] !== undefined).length;
}

async function openFiles(t: TestContext, group: ContainerGroup): Promise<void> {
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: FILES / 2,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  workload.go();
  await workload.finished();
}

async function killPump(t: TestContext, { folder, group }: Bench): Promise<void> {
  writeFileSync(join(folder, 'now'), '');
  await openFiles(t, group);
}

test('when the pump dies, what it gave is sent, and the exit code is 70', { skip }, async (t) => {
  const metrics = await grpcBackend();
  t.after(() => metrics.close());
  const set = { 'export.timeout': '1s', 'telemetry.metrics.otlp': 'true' };
  const bench = await prepare(t, set, { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: metrics.endpoint });
  const { collector, receiver } = bench;
  receiver.otherwise = { type: 'accept' };
  await killPump(t, bench);
  const { exitCode, counters } = await collector.ended();
  assert.equal(exitCode, 70);
  assert.match(JSON.stringify(collector.logs), /the pump failed: an error that nobody expected/);
  assert.equal(counters?.spans_accepted, FILES);
  assert.equal(filesOf(receiver), FILES);
  const exported = metrics.metrics
    .at(-1)!
    .points.find(
      ({ name, attributes }) =>
        name === 'otel.sdk.exporter.span.exported' && attributes['error.type'] === undefined,
    );
  assert.equal(exported?.value, FILES, 'and the last metrics tell it');
});

test(
  'when the pump dies without a backend, what it gave is spooled, and the next start sends it',
  { skip },
  async (t) => {
    const spool = mkdtempSync(join(tmpdir(), 'fdspan-pump-spool-'));
    t.after(() => rmSync(spool, { recursive: true, force: true }));
    const set = { 'export.spool.dir': spool, 'limits.stop_deadline': '100ms' };
    const bench = await prepare(t, set);
    await killPump(t, bench);
    const { exitCode, counters } = await bench.collector.ended();
    assert.equal(exitCode, 70);
    assert.equal(counters?.spooled, FILES);
    bench.receiver.otherwise = { type: 'accept' };
    const next = await startCollector({
      endpoint: bench.receiver.endpoint,
      containerIds: [bench.group.id],
      set,
    });
    t.after(() => next.kill());
    await bench.receiver.waitFor((receiver) => filesOf(receiver) === FILES);
    const { counters: after } = await next.stop();
    assert.equal(after.spool_recovered, FILES);
    assert.equal(after.spans_accepted, FILES);
  },
);
