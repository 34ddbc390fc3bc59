// The counts of containers as OTLP metrics, to real receivers. The kernel tests say that the counts are right.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { NOTHING_WANTED } from '../../src/bpf/live-filters.ts';
import { kernelOptions } from '../../src/config/options.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startContainerMetrics } from '../../src/telemetry/container-metrics.ts';
import type { CountedContainer } from '../../src/model/container-counts.ts';
import { CUMULATIVE, grpcBackend, httpBackend, type Backend } from '../helpers/metrics-backend.ts';
import { targetsOf } from '../helpers/telemetry-targets.ts';

const ARRIVAL_DEADLINE_MS = 10_000;
/** Never due in a test. */
const LONG_MS = 3_600_000;
const START_UNIX_MS = 1_700_000_000_123;

/** Words of struct container_metrics, by hand from bpf/record.h: opens[8], failures[32], durations[16], their sum. */
function countsOf(words: Readonly<Record<number, number>>): Float64Array {
  const counts = new Float64Array(64);
  for (const [word, value] of Object.entries(words)) counts[Number(word)] = value;
  return counts;
}

function container(words: Readonly<Record<number, number>>, filesOpen: number, id = 'a'): CountedContainer {
  const attributes = { 'container.id': id, 'service.name': 'web' };
  return { attributes, startUnixMs: START_UNIX_MS, counts: countsOf(words), filesOpen };
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  const deadlineMs = Date.now() + ARRIVAL_DEADLINE_MS;
  while (!isTrue()) {
    assert.ok(Date.now() < deadlineMs, `${what} within ${ARRIVAL_DEADLINE_MS} ms`);
    await sleep(5);
  }
}

async function begin(
  context: TestContext,
  endpoint: string,
  protocol: string,
  containers: () => readonly CountedContainer[],
) {
  const errors: unknown[] = [];
  const metrics = await startContainerMetrics({
    target: targetsOf({
      'export.protocol': protocol,
      'export.endpoint': endpoint,
      'export.timeout': '500ms',
    }).metrics,
    version: '1.2.3',
    containers: () => Promise.resolve(containers()),
    onError: (error) => errors.push(error),
    intervalMs: LONG_MS,
  });
  context.after(() => metrics.shutdown(1000));
  return { metrics, errors };
}

function seriesOf({ points }: Backend['metrics'][number]): Record<string, number> {
  return Object.fromEntries(
    points.map(({ name, attributes, value }) => [[name, ...Object.values(attributes)].join(' '), value]),
  );
}

for (const [protocol, start] of [
  ['grpc', grpcBackend],
  ['http/protobuf', httpBackend],
] as const)
  test(`${protocol}: counts arrive under the container's resource, and what is 0 only for open files`, async (context) => {
    const backend = await start();
    context.after(() => backend.close());
    const { metrics } = await begin(context, backend.endpoint, protocol, () => [
      // Beyond 2^32: the words are 64 bits wide.
      container({ 0: 5, 2: 2 ** 40 + 1, 4: 7, 8: 1, 10: 3, 40: 2, 41: 1, 55: 4, 56: 5_000_000_250 }, 6),
      container({}, 0, 'b'),
    ]);
    await until(() => metrics.counts.container_metrics_sent === 2, 'both are sent');
    const [one, other] = backend.metrics.toSorted((left, right) =>
      left.resource['container.id'] < right.resource['container.id'] ? -1 : 1,
    );
    assert.deepEqual(one.scope, { name: 'fdspan', version: '1.2.3' });
    assert.deepEqual(one.resource, { 'container.id': 'a', 'service.name': 'web' });
    assert.deepEqual(seriesOf(one), {
      'fdspan.file.opens read': 5,
      'fdspan.file.opens read_write': 2 ** 40 + 1,
      'fdspan.file.opens path': 7,
      'fdspan.file.open.failures _OTHER': 1,
      'fdspan.file.open.failures ENOENT': 3,
      'fdspan.files.open': 6,
      'fdspan.file.open.duration': 5.00000025,
    });
    const duration = one.points.find(({ kind }) => kind === 'histogram')!;
    assert.deepEqual(duration.bucketCounts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
    assert.equal(duration.bounds.length, 15);
    assert.deepEqual([duration.bounds[0], duration.bounds.at(-1)], [0.00001, 3600]);
    for (const { startUnixNs, temporality } of one.points) {
      assert.equal(startUnixNs, BigInt(START_UNIX_MS) * 1_000_000n);
      assert.equal(temporality, CUMULATIVE);
    }
    assert.deepEqual(seriesOf(other), { 'fdspan.files.open': 0, 'fdspan.file.open.duration': 0 });
  });

test('what the containers are at the stop is sent, before the exporter ends', async (context) => {
  const backend = await httpBackend();
  context.after(() => backend.close());
  const { metrics, errors } = await begin(context, backend.endpoint, 'http/protobuf', () => [
    container({ 0: 1 }, 0),
  ]);
  await until(() => metrics.counts.container_metrics_sent === 1, 'the first turn');
  await metrics.shutdown(5000, [container({ 0: 2 }, 0)]);
  assert.deepEqual(errors, []);
  assert.deepEqual(
    backend.metrics.map((received) => seriesOf(received)['fdspan.file.opens read']),
    [1, 2],
  );
});

for (const protocol of ['grpc', 'http/protobuf'])
  test(`${protocol}: a backend that is down is told once, counted, and delays no stop`, async (context) => {
    const { metrics, errors } = await begin(context, 'http://127.0.0.1:1', protocol, () => [
      container({ 0: 1 }, 0),
    ]);
    await until(() => metrics.counts.container_metrics_requests_failed === 1, 'a request fails');
    await metrics.shutdown(3000, [container({ 0: 2 }, 0)]);
    assert.equal(metrics.counts.container_metrics_requests_failed, 2);
    assert.equal(metrics.counts.container_metrics_sent, 0);
    assert.equal(errors.length, 1);
  });

test('each errno that is counted by its name is one of this platform, and 31 have a place', async () => {
  const { config } = loadConfig({ file: null, sets: [], env: {} } as never);
  const scope = { by: 'cgroup', byCgroup2: true, cgroup1Controller: null } as never;
  const { metrics } = await kernelOptions(config, scope, { mnt: 1, pid: 1 }, NOTHING_WANTED);
  assert.equal(metrics!.slotsMax, config.limits.containers + 1);
  assert.equal(metrics!.failureErrnos.length, 31);
  assert.equal(metrics!.durationBoundsNs.length, 15);
  assert.deepEqual(
    [metrics!.durationBoundsNs[0], metrics!.durationBoundsNs[14]],
    [10_000n, 3_600_000_000_000n],
  );
  for (const errno of metrics!.failureErrnos) assert.ok(errno > 0 && errno < 192, String(errno));
  assert.equal(new Set(metrics!.failureErrnos).size, 31);
  assert.equal(metrics!.failureErrnos[1], constants.errno.ENOENT);
});
