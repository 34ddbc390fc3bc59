// A log that nobody takes: fdspan goes on tracing, sends its spans, and ends in order.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import {
  cleanEnvironment,
  startCollector,
  whyNoKernelTests,
  type LogLine,
} from '../helpers/collector-process.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { mountTmpfs, whyNoPrivateDisk } from '../helpers/private-disk.ts';
import { startWorkload, type Workload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? whyNoPrivateDisk() ?? false;
const program = join(import.meta.dirname, '../../bin/fdspan');
const COUNT = 13;
/** The scenario opens each file of COUNT by two calls. */
const SPANS = 26;
const DEADLINE_MS = 30_000;

interface Traced {
  readonly id: string;
  readonly workload: Workload;
  readonly receiver: OtlpReceiver;
}

async function prepare(t: TestContext): Promise<Traced> {
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const receiver = await startReceiver({ protocol: 'grpc' });
  t.after(() => receiver.close());
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: COUNT,
    procsFiles: [group.procsFile],
  });
  t.after(() => workload.end());
  return { id: group.id, workload, receiver };
}

async function run(workload: Workload): Promise<void> {
  workload.go();
  await workload.finished();
}

test('fdspan goes on when the reader of its log is gone, and exits with 0', { skip }, async (t) => {
  const { id, workload, receiver } = await prepare(t);
  let child: ChildProcess | undefined;
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    containerIds: [id],
    spawned: (spawned) => (child = spawned),
  });
  t.after(() => collector.kill());
  child!.stderr!.destroy();
  // Each makes a line.
  for (let turn = 0; turn < 3; turn += 1) process.kill(collector.pid, 'SIGHUP');
  await run(workload);
  process.kill(collector.pid, 'SIGTERM');
  const { exitCode } = await collector.ended();
  assert.equal(exitCode, 0);
  assert.equal(receiver.spanCount - receiver.roots.length, SPANS);
});

test(
  'fdspan starts and goes on when its log is on a full disk, and tells what that cost',
  { skip },
  async (t) => {
    const disk = await mountTmpfs(t, 64 * 1024);
    await disk.run('touch "$disk/log" && ! dd if=/dev/zero of="$disk/fill" bs=4k 2>/dev/null');
    const { id, workload, receiver } = await prepare(t);
    const path = join(disk.path, 'log');
    const port = await freePort();
    const log = openSync(path, 'a');
    const set = {
      'export.endpoint': receiver.endpoint,
      'control.socket': join(disk.path, 'control.sock'),
      'control.state_file': 'null',
      'telemetry.metrics.otlp': 'false',
      'telemetry.metrics.containers': 'false',
      'telemetry.metrics.prometheus': `127.0.0.1:${port}`,
      'sampling.target.host': '0',
      'containers.allow': JSON.stringify([{ id }]),
    };
    const args = Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const child = spawn(program, ['run', ...args], {
      stdio: ['ignore', 'ignore', log],
      env: cleanEnvironment(),
    });
    t.after(() => child.kill('SIGKILL'));
    closeSync(log);
    const exited = once(child, 'exit');
    await ready(child, `http://127.0.0.1:${port}/readyz`);
    assert.equal(readFileSync(path, 'utf8'), '', 'no line found room');
    await disk.run('rm "$disk/fill"');
    await run(workload);
    child.kill('SIGHUP');
    const lost = await eventually(() => linesOf(path).find(({ lines }) => lines !== undefined));
    assert.equal(lost.msg, 'lines of this log could not be written');
    assert.ok((lost.lines as number) >= 1, 'of the start');
    assert.equal((lost.error as { code: string }).code, 'ENOSPC');
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    assert.equal(linesOf(path).at(-1)?.msg, 'summary');
    assert.equal(receiver.spanCount - receiver.roots.length, SPANS);
  },
);

/** Whole lines. */
function linesOf(path: string): LogLine[] {
  const text = readFileSync(path, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);
}

async function ready(child: ChildProcess, url: string): Promise<void> {
  await eventually(async () => {
    assert.equal(child.exitCode, null, 'fdspan has ended');
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    return status === 200 ? status : undefined;
  });
}

async function eventually<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (const deadlineMs = performance.now() + DEADLINE_MS; performance.now() < deadlineMs; await delay(20)) {
    const seen = await look();
    if (seen !== undefined) return seen;
  }
  throw new Error(`not seen within ${DEADLINE_MS} ms: ${look.toString()}`);
}
