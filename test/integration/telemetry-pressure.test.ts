// The pressure of containers as OTLP metrics, to real receivers. Folders with recorded files stand for the groups.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { parsePressure, whyNoPressure } from '../../src/telemetry/pressure-files.ts';
import { startPressure, type PressureOptions } from '../../src/telemetry/pressure.ts';
import { targetsOf } from '../helpers/telemetry-targets.ts';
import { CUMULATIVE, grpcBackend, httpBackend, type Backend } from '../helpers/metrics-backend.ts';

/** As Linux 6.18 showed them; the last line of cpu.pressure is there from 5.13 on. */
const RECORDED = {
  io:
    'some avg10=0.39 avg60=0.73 avg300=0.66 total=52478702\n' +
    'full avg10=0.24 avg60=0.31 avg300=0.32 total=17521556\n',
  memory: 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
  cpu: 'some avg10=20.62 avg60=29.09 avg300=100.00 total=2321992480\n',
};
/** resource, kind → seconds and the shares of 10, 60 and 300 s: by hand from the text above. */
const EXPECTED = {
  'io some': [52.478702, 0.0039, 0.0073, 0.0066],
  'io full': [17.521556, 0.0024, 0.0031, 0.0032],
  'memory some': [0, 0, 0, 0],
  'memory full': [0, 0, 0, 0],
  'cpu some': [2321.99248, 0.2062, 0.2909, 1],
};
const ARRIVAL_DEADLINE_MS = 10_000;

function makeTree(context: TestContext, groups: Readonly<Record<string, Partial<typeof RECORDED>>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-pressure-'));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const [path, files] of Object.entries(groups)) {
    mkdirSync(Buffer.from(join(folder, path), 'latin1'), { recursive: true });
    for (const [name, text] of Object.entries(files))
      writeFileSync(Buffer.from(join(folder, path, `${name}.pressure`), 'latin1'), text);
  }
  return folder;
}

type Given = Pick<PressureOptions, 'mountPoint' | 'containers'> & Partial<PressureOptions>;

async function begin(context: TestContext, endpoint: string, protocol: string, given: Given) {
  const errors: unknown[] = [];
  const pressure = await startPressure({
    target: targetsOf({
      'export.protocol': protocol,
      'export.endpoint': endpoint,
      'export.headers': '{x-key: k}',
      'export.timeout': '1s',
    }).metrics,
    version: '1.2.3',
    onError: (error) => errors.push(error),
    ...given,
  });
  context.after(() => pressure.shutdown(1000));
  return { pressure, errors };
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  const deadlineMs = Date.now() + ARRIVAL_DEADLINE_MS;
  while (!isTrue()) {
    assert.ok(Date.now() < deadlineMs, `${what} within ${ARRIVAL_DEADLINE_MS} ms`);
    await sleep(5);
  }
}

/** Totals and shares of one resource, in the form of EXPECTED. */
function valuesOf({ points }: Backend['metrics'][number]): Record<string, number[]> {
  const values: Record<string, number[]> = {};
  const places = { '10s': 1, '60s': 2, '300s': 3 };
  for (const { name, kind, unit, value, attributes, isMonotonic, temporality } of points) {
    const key = `${attributes['fdspan.pressure.resource']} ${attributes['fdspan.pressure.kind']}`;
    const of = (values[key] ??= []);
    if (name === 'fdspan.container.pressure.stalled_time') {
      assert.deepEqual([kind, unit, isMonotonic, temporality], ['sum', 's', true, CUMULATIVE]);
      of[0] = value;
    } else {
      assert.deepEqual([name, kind, unit], ['fdspan.container.pressure.share', 'gauge', '1']);
      of[places[attributes['fdspan.pressure.window'] as '10s']] = Number(value.toFixed(6));
    }
  }
  return values;
}

for (const [protocol, start] of [
  ['grpc', grpcBackend],
  ['http/protobuf', httpBackend],
] as const)
  test(`${protocol}: recorded files of two groups arrive in one request, each under its container's resource`, async (context) => {
    const backend = await start();
    context.after(() => backend.close());
    // A name of a group may be any bytes.
    const paths = ['/docker/a', '/docker/b\xff\n'];
    const mountPoint = makeTree(context, Object.fromEntries(paths.map((path) => [path, RECORDED])));
    const beforeMs = Date.now();
    const { pressure, errors } = await begin(context, backend.endpoint, protocol, {
      mountPoint,
      containers: () =>
        paths.map((cgroupPath, index) => ({
          cgroupPath,
          attributes: {
            'service.name': `service-${index}`,
            'container.id': `id-${index}`,
            'fdspan.ns.mnt': 7,
          },
        })),
    });
    await until(() => pressure.counts.pressure_resources_sent === 2, 'two resources are sent');
    assert.deepEqual(errors, []);
    assert.deepEqual([...backend.keys], ['k']);
    const received = backend.metrics.toSorted((left, right) =>
      left.resource['service.name'] < right.resource['service.name'] ? -1 : 1,
    );
    received.forEach((metrics, index) => {
      assert.equal(metrics.request, 0);
      assert.deepEqual(metrics.scope, { name: 'fdspan', version: '1.2.3' });
      assert.deepEqual(metrics.resource, {
        'service.name': `service-${index}`,
        'container.id': `id-${index}`,
        'fdspan.ns.mnt': '7',
      });
      assert.deepEqual(valuesOf(metrics), EXPECTED);
      for (const { timeUnixNs } of metrics.points)
        assert.ok(
          timeUnixNs >= BigInt(beforeMs) * 1_000_000n && timeUnixNs <= BigInt(Date.now()) * 1_000_000n,
        );
    });
    assert.equal(received.length, 2);
    assert.equal(pressure.counts.pressure_files_unreadable, 0);
  });

test('a group that is gone is left out, an odd file too, and both are counted', async (context) => {
  const backend = await httpBackend();
  context.after(() => backend.close());
  const mountPoint = makeTree(context, { odd: { ...RECORDED, io: 'none\n', memory: '\0'.repeat(100_000) } });
  const { pressure } = await begin(context, backend.endpoint, 'http/protobuf', {
    mountPoint,
    containers: () =>
      ['/gone', '/odd', `/${'long/'.repeat(2000)}`].map((cgroupPath) => ({ cgroupPath, attributes: {} })),
  });
  await until(() => pressure.counts.pressure_resources_sent === 1, 'one resource is sent');
  assert.deepEqual(valuesOf(backend.metrics[0]), { 'cpu some': EXPECTED['cpu some'] });
  assert.equal(pressure.counts.pressure_files_unreadable, 3 + 2 + 3);
});

test('the resources of 701 containers go by requests that a receiver of 4 MiB takes', async (context) => {
  const backend = await grpcBackend();
  context.after(() => backend.close());
  const mountPoint = makeTree(context, { group: RECORDED });
  const label = 'x'.repeat(8000);
  const { pressure, errors } = await begin(context, backend.endpoint, 'grpc', {
    mountPoint,
    containers: () =>
      Array.from({ length: 701 }, (_value, index) => ({
        cgroupPath: '/group',
        attributes: { 'container.id': `id-${index}`, 'container.label.x': label },
      })),
  });
  await until(() => pressure.counts.pressure_resources_sent === 701, 'all are sent');
  assert.deepEqual(errors, []);
  assert.equal(new Set(backend.metrics.map(({ resource }) => resource['container.id'])).size, 701);
  assert.ok(backend.metrics.at(-1)!.request >= 2, 'by several requests');
});

test('turns go on, and the containers are asked for at each', async (context) => {
  const backend = await httpBackend();
  context.after(() => backend.close());
  const mountPoint = makeTree(context, { a: RECORDED, b: RECORDED });
  let turns = 0;
  await begin(context, backend.endpoint, 'http/protobuf', {
    mountPoint,
    intervalMs: 20,
    containers: () => [{ cgroupPath: turns++ === 0 ? '/a' : '/b', attributes: { turn: String(turns) } }],
  });
  await until(() => backend.metrics.length >= 3, 'three turns');
  assert.deepEqual(
    backend.metrics.slice(0, 3).map(({ resource }) => resource.turn),
    ['1', '2', '3'],
  );
});

for (const protocol of ['grpc', 'http/protobuf'])
  test(`${protocol}: a backend that is down or hangs is told once, counted, and delays no stop`, async (context) => {
    const sockets: Socket[] = [];
    const hung = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await new Promise((resolve) => hung.once('listening', resolve));
    context.after(() => {
      hung.close();
      for (const socket of sockets) socket.destroy();
    });
    const mountPoint = makeTree(context, { a: RECORDED });
    for (const port of [1, (hung.address() as AddressInfo).port]) {
      const { pressure, errors } = await begin(context, `http://127.0.0.1:${port}`, protocol, {
        mountPoint,
        intervalMs: 10,
        containers: () => [{ cgroupPath: '/a', attributes: {} }],
      });
      await until(() => pressure.counts.pressure_requests_failed >= 2, 'two requests fail');
      const beganMs = performance.now();
      await pressure.shutdown(500);
      assert.ok(performance.now() - beganMs < 1500, 'the stop ends at its deadline');
      assert.equal(errors.length, 1);
      assert.equal(pressure.counts.pressure_resources_sent, 0);
    }
  });

test('a kernel without PSI is told from one with it, by the folder that it shows', async (context) => {
  const folder = makeTree(context, { with: {}, without: {}, odd: { io: 'x' } });
  writeFileSync(join(folder, 'with/io'), RECORDED.io);
  writeFileSync(join(folder, 'odd/io'), 'unknown 1\n');
  assert.equal(await whyNoPressure(join(folder, 'with')), null);
  assert.match((await whyNoPressure(join(folder, 'without')))!, /ENOENT.*without\/io/);
  assert.match((await whyNoPressure(join(folder, 'odd')))!, /odd\/io is of an unknown form/);
});

test('lines of another form are left out, and later fields and lines do no harm', () => {
  const line = 'some avg10=1.00 avg60=2.00 avg300=3.00 total=4000000';
  const known = { resource: 'io', kind: 'some', shares: [0.01, 0.02, 0.03], stalledSeconds: 4 };
  assert.deepEqual(parsePressure('io', `${line} later=1\nnew avg10=1.00\n`), [known]);
  assert.deepEqual(parsePressure('io', `x${line}\n${line.replace('avg60=2.00', 'avg60=-')}\n`), []);
  assert.deepEqual(
    parsePressure('io', line.replace('4000000', '18446744073709551615'))[0].stalledSeconds,
    2 ** 64 / 1e6,
  );
  assert.deepEqual(parsePressure('io', ''), []);
});
