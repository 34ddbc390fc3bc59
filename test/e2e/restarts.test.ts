// A container that runs again while the run before is still kept: docker's own restart, and another container of a bare
// runtime by the same id.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeBundle } from '../helpers/bare-container.ts';
import { whyNoPrograms } from '../helpers/busybox-image.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startDocker, whyNoDocker } from '../helpers/docker.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { runCommand } from '../helpers/runtime-commands.ts';
import { removeGroups } from '../helpers/runtime-remains.ts';

const whyNoDockerTest = whyNoKernelTests() ?? whyNoDocker() ?? false;

test(
  'two runs of one docker container: each has its own group and namespaces',
  { skip: whyNoDockerTest },
  async (t) => {
    const docker = await startDocker();
    t.after(() => docker.stop());
    const receiver = await startReceiver({ protocol: 'grpc' });
    t.after(() => receiver.close());
    // The names that it sees itself; each run writes a file of its own.
    const script =
      'echo hi > /tmp/run-$(cat /tmp/runs 2>/dev/null | wc -l); echo >> /tmp/runs; readlink /proc/self/ns/pid';
    const id = await docker.create({ name: 'again', script });
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      containerIds: [id],
      set: { 'containers.runtimes': JSON.stringify({ docker: docker.socketPath }) },
    });
    t.after(() => collector.kill());
    const pidNamespaces: number[] = [];
    for (let run = 0; run < 2; run += 1) {
      const printed = await docker.docker('start', '--attach', id);
      pidNamespaces.push(Number(/pid:\[([0-9]+)\]/.exec(printed)?.[1]));
      // Takes the number that the run has left, so that the next one has another.
      await holdNamespace(t);
    }
    assert.equal(new Set(pidNamespaces).size, 2);
    await collector.stop();
    const runs = [0, 1].map((run) =>
      receiver.spans.filter(({ span }) => span.attributes['file.path'] === `/tmp/run-${run}`),
    );
    runs.forEach((spans, run) => {
      assert.equal(spans.length, 1, `run ${run}`);
      const [{ span, resource }] = spans;
      assert.equal(resource.attributes['container.name'], 'again');
      assert.equal(resource.attributes['fdspan.ns.pid'], pidNamespaces[run]);
      assert.deepEqual(
        Object.keys(span.attributes).filter((name) => name.startsWith('fdspan.ns.')),
        [],
        'the span is in the namespaces of its resource',
      );
    });
    const groups = new Set(runs.map(([{ resource }]) => resource.attributes['fdspan.cgroup.id']));
    assert.equal(groups.size, 2);
  },
);

async function holdNamespace(t: TestContext): Promise<void> {
  const argv = ['--pid', '--fork', '--kill-child', 'sh', '-c', 'echo; exec sleep 120'];
  const child = spawn('unshare', argv, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
}

const whyNoRunc = whyNoKernelTests() ?? whyNoPrograms('runc') ?? false;

test(
  'another container of runc by the id of one that just ended is judged by its own labels',
  { skip: whyNoRunc },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'fdspan-again-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const run = randomBytes(4).toString('hex');
    const parent = `/fdspan-test-${run}`;
    t.after(() => removeGroups(parent));
    const id = `web-${run}`;
    const receiver = await startReceiver({ protocol: 'grpc' });
    t.after(() => receiver.close());
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      containerIds: [id],
      set: { 'containers.deny': '[{label: "image=secret"}]', 'containers.labels': '["image"]' },
    });
    t.after(() => collector.kill());
    const images = ['public', 'secret'];
    for (const [index, image] of images.entries()) {
      const bundle = join(folder, String(index));
      await mkdir(bundle);
      // It lives for a second: of a shorter one the state may be gone before it is read.
      const script = `for i in 1 2 3; do echo hi > /tmp/${image}-${index}-$i; done; sleep 1`;
      await makeBundle(bundle, { runtime: 'runc', id, script, annotations: { image } }, `${parent}/${id}`);
      await runCommand('runc', ['run', '--bundle', bundle, id]);
    }
    await collector.stop();
    const told = receiver.spans.map(({ span, resource }) => [
      span.attributes['file.path'],
      resource.attributes['container.label.image'],
    ]);
    const expected = images.flatMap((image, index) =>
      image === 'secret' ? [] : [1, 2, 3].map((file) => [`/tmp/${image}-${index}-${file}`, image]),
    );
    assert.deepEqual(told.sort(), expected.sort());
  },
);
