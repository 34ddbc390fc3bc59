// The pressure of a real group, as the kernel tells it, under the same resource as the container's spans.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { findHierarchy, makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { cleanEnvironment, startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { httpBackend } from '../helpers/metrics-backend.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? whyNoGroupPressure() ?? false;
const DEADLINE_MS = 20_000;
const WORKERS = 3;

function whyNoGroupPressure(): string | null {
  const mount = findHierarchy('v2');
  if (mount === null) return 'no cgroup v2 hierarchy is mounted';
  const hasPressure = existsSync('/proc/pressure/io') && existsSync(join(mount, 'cpu.pressure'));
  return hasPressure ? null : 'this kernel has no pressure stall information (CONFIG_PSI, psi=1)';
}

/** Microseconds that some task of the group has waited for a CPU. */
function cpuStalledUs(group: ContainerGroup): number {
  const text = readFileSync(join(group.folder, 'cpu.pressure'), 'utf8');
  return Number(text.split('\n')[0].split('total=')[1]);
}

/** Keeps three processes of the group busy on one CPU until they have waited for it. */
async function press(group: ContainerGroup): Promise<void> {
  // The shell waits for a line, so that it is in the group before it is busy.
  const script = 'read line; while :; do :; done';
  const workers = Array.from({ length: WORKERS }, () =>
    spawn('taskset', ['-c', '0', 'sh', '-c', script], { stdio: ['pipe', 'ignore', 'ignore'] }),
  );
  try {
    for (const { pid, stdin } of workers) {
      group.add(pid!);
      stdin.write('\n');
    }
    const deadlineMs = Date.now() + DEADLINE_MS;
    while (cpuStalledUs(group) < 100_000) {
      assert.ok(Date.now() < deadlineMs, 'the group is under pressure');
      await sleep(10);
    }
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
  }
}

test(
  "a container's pressure is what the kernel tells of its group, under its spans' resource",
  { skip },
  async (context) => {
    const backend = await httpBackend();
    context.after(() => backend.close());
    const group = makeContainerGroup();
    context.after(() => group.remove());
    await press(group);
    const workload = await startWorkload({
      scenario: 'plain-closes',
      count: 3,
      procsFiles: [group.procsFile],
    });
    context.after(() => workload.end());
    const beforeUs = cpuStalledUs(group);
    const collector = await startCollector({
      endpoint: backend.endpoint,
      protocol: 'http/protobuf',
      containerIds: [group.id],
      set: { 'telemetry.metrics.pressure': 'true' },
    });
    context.after(() => collector.kill());
    const deadlineMs = Date.now() + DEADLINE_MS;
    while (backend.metrics.length === 0) {
      assert.ok(Date.now() < deadlineMs, 'metrics arrive');
      await sleep(10);
    }
    const afterUs = cpuStalledUs(group);
    workload.go();
    await workload.finished();
    await collector.stop();

    assert.deepEqual(
      new Set(backend.metrics.map(({ resource }) => resource['container.id'])),
      new Set([group.id]),
    );
    const [{ points, resource }] = backend.metrics;
    const totals = points.filter(({ name }) => name === 'fdspan.container.pressure.stalled_time');
    const cpu = totals.find(
      ({ attributes }) =>
        attributes['fdspan.pressure.resource'] === 'cpu' && attributes['fdspan.pressure.kind'] === 'some',
    );
    const us = Math.round(cpu!.value * 1e6);
    assert.ok(us >= beforeUs && us <= afterUs, `${beforeUs} ≤ ${us} ≤ ${afterUs} µs`);
    assert.deepEqual(
      new Set(totals.map(({ attributes }) => attributes['fdspan.pressure.resource'])),
      new Set(['io', 'memory', 'cpu']),
    );
    assert.equal(points.length - totals.length, 3 * totals.length, 'three windows each');
    const texts = Object.entries(backend.traces[0].resource.attributes).map(([key, value]) => [
      key,
      typeof value === 'number' || typeof value === 'bigint' ? String(value) : value,
    ]);
    assert.deepEqual(resource, Object.fromEntries(texts));
  },
);

test('turned on where only v1 groups are watched, it is warned of once', { skip }, async (context) => {
  const group = makeContainerGroup();
  context.after(() => group.remove());
  const collector = await startCollector({
    endpoint: 'http://127.0.0.1:1',
    containerIds: [group.id],
    set: { 'telemetry.metrics.pressure': 'true', 'scope.by': 'cgroup1' },
  });
  context.after(() => collector.kill());
  const { logs } = await collector.stop();
  const warnings = logs.filter(({ msg }) => String(msg).startsWith('no pressure metrics: no cgroup v2'));
  assert.equal(warnings.length, 1);
});

test(
  'turned on where the kernel tells no pressure, it is warned of once, with the cure',
  { skip },
  async () => {
    const program = join(import.meta.dirname, '../../bin/fdspan');
    // In a mount namespace of its own the folder of PSI is empty, as on a kernel without it.
    const script = `mount -t tmpfs none /proc/pressure && exec "$0" run --set telemetry.metrics.pressure=true \
    --set telemetry.metrics.otlp=false --set telemetry.metrics.containers=false --set control.socket=/proc/pressure/control.sock \
    --set 'containers.allow=[{id: none}]' --set export.endpoint=http://127.0.0.1:1`;
    const child = spawn('unshare', ['--mount', 'sh', '-c', script, program], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: cleanEnvironment(),
    });
    const stopAll = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    let text = '';
    child.stderr.on('data', (chunk) => {
      text += String(chunk);
      // Told after `ready`: neither it nor the spans wait for metrics.
      if (text.includes('no pressure metrics')) child.kill('SIGTERM');
    });
    const [exitCode] = (await once(child, 'close')) as [number | null];
    clearTimeout(stopAll);
    assert.equal(exitCode, 0, text);
    const warnings = text.split('\n').filter((line) => line.includes('no pressure metrics'));
    assert.equal(warnings.length, 1, text);
    assert.match(warnings[0], /this kernel has no pressure stall information.*ENOENT.*CONFIG_PSI.*psi=1/);
  },
);
