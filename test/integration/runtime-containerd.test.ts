// A real containerd, its own containers by `ctr`, and its Kubernetes part.
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { ContainerdSource } from '../../src/containers/runtimes/containerd.ts';
import { CriSource } from '../../src/containers/runtimes/cri.ts';
import type { ContainerMetadata, RuntimeSource } from '../../src/containers/runtimes/runtime-source.ts';
import {
  startContainerd,
  whyNoContainerd,
  type Containerd,
  type ContainerdContainer,
} from '../helpers/containerd.ts';
import { QUICK_TIMES, RecordingListener } from '../helpers/recording-listener.ts';

const skip = whyNoContainerd('runc') ?? whyNoContainerd('crun') ?? false;

/** One namespace and one more, of this run: the control groups carry their names. */
const ONE = `fdspan-${process.pid}-one`;
const TWO = `fdspan-${process.pid}-two`;

const deadline = (): AbortSignal => AbortSignal.timeout(20_000);
let containerd: Containerd;
let source: ContainerdSource;
let cri: CriSource;

before(async () => {
  if (skip !== false) return;
  containerd = await startContainerd(ONE, TWO, 'moby');
  source = new ContainerdSource(containerd.socket, QUICK_TIMES);
  cri = new CriSource(containerd.socket, QUICK_TIMES);
});
after(async () => {
  source?.close();
  cri?.close();
  await containerd?.stop();
});

function find(container: ContainerdContainer): Promise<ContainerMetadata | null> {
  return source.find(container, deadline());
}

/** Follows until the test's end; resolves when the runtime has answered. */
async function follow(t: TestContext, followed: RuntimeSource): Promise<RecordingListener> {
  const listener = new RecordingListener();
  t.after(() => followed.close());
  followed.follow?.(listener);
  await listener.until(() => listener.states.length === 1);
  return listener;
}

/** Kills the daemon and starts it again; what was told of it must be that, once each, and why. */
async function bounce(listener: RecordingListener): Promise<void> {
  await containerd.kill();
  await listener.until(() => listener.states.length === 2);
  await containerd.restart();
  await listener.until(() => listener.states.length === 3);
  assert.deepEqual(
    listener.states.map(({ isAnswering }) => isAnswering),
    [true, false, true],
  );
  assert.notEqual(listener.states[1].reason, '');
}

test(
  "containers of runc and crun are found with their labels, image, runtime and service's name",
  { skip },
  async () => {
    const runc = await containerd.startContainer({
      namespace: ONE,
      id: 'web.1',
      script: 'sleep 1000',
      labels: { tier: 'front', 'nerdctl/name': 'web' },
      env: { OTEL_SERVICE_NAME: 'shop', OTHER: 'OTEL_SERVICE_NAME=wrong' },
    });
    assert.equal(runc.cgroupPath, `/${ONE}/web.1`);
    const found = await find(runc);
    assert.equal(found?.labels?.get('tier'), 'front');
    assert.deepEqual(
      { ...found, labels: undefined },
      {
        id: 'web.1',
        runtimeName: 'containerd',
        runtimeVersion: containerd.version,
        ociRuntime: 'runc',
        name: 'web',
        imageName: 'localhost/fdspan-busybox',
        imageTags: ['1'],
        labels: undefined,
        serviceName: 'shop',
        groupPath: `/${ONE}/web.1`,
      },
    );

    const crun = await containerd.startContainer({
      namespace: ONE,
      id: 'job',
      ociRuntime: 'crun',
      script: 'sleep 1000',
    });
    assert.equal((await find(crun))?.ociRuntime, 'crun');
    assert.equal((await find(crun))?.serviceName, undefined);
  },
);

test(
  "an id that two namespaces know is told apart by the control group, and is nobody else's",
  { skip },
  async () => {
    const script = 'sleep 1000';
    const one = await containerd.startContainer({
      namespace: ONE,
      id: 'same',
      script,
      labels: { of: 'one' },
    });
    const two = await containerd.startContainer({
      namespace: TWO,
      id: 'same',
      script,
      labels: { of: 'two' },
      cgroup: `/${TWO}-groups/same`,
    });
    assert.equal((await find(one))?.labels?.get('of'), 'one');
    assert.equal(two.cgroupPath, `/${TWO}-groups/same`);
    assert.equal((await find(two))?.labels?.get('of'), 'two');
    for (const cgroupPath of ['/same', '/elsewhere/same', `/${ONE}-groups/same`])
      assert.equal(await source.find({ id: 'same', cgroupPath }, deadline()), null, cgroupPath);
    const nested = { id: 'same', cgroupPath: `/docker/${'a1'.repeat(32)}${two.cgroupPath}`, isNested: true };
    assert.equal((await source.find(nested, deadline()))?.labels?.get('of'), 'two');
  },
);

test('a container whose control group names no namespace is looked for in all', { skip }, async () => {
  const cgroup = `/${ONE}-groups/alone`;
  const alone = await containerd.startContainer({
    namespace: TWO,
    id: 'alone',
    script: 'sleep 1000',
    cgroup,
  });
  assert.equal((await find(alone))?.id, 'alone');
});

test('a group below the container tells the namespace, too', { skip }, async () => {
  const cgroupPath = `/${TWO}/same/init/same-worker`;
  assert.equal((await source.find({ id: 'same', cgroupPath }, deadline()))?.labels?.get('of'), 'two');
});

test("a container in docker's namespace is docker's to name", { skip }, async () => {
  const container = await containerd.startContainer({
    namespace: 'moby',
    id: 'dockers',
    script: 'sleep 1000',
    labels: { 'nerdctl/name': 'wrong' },
    env: { OTEL_SERVICE_NAME: 'shop' },
    cgroup: `/${ONE}-groups/dockers`,
  });
  const found = await find(container);
  assert.equal(found?.runtimeName, 'docker');
  assert.equal(found?.ociRuntime, 'runc');
  assert.equal(found?.serviceName, 'shop');
  assert.equal(found?.name, undefined);
  assert.equal(found?.runtimeVersion, undefined);
});

test('unknown containers and ids that no runtime gives are null', { skip }, async () => {
  for (const id of ['nothing', 'a'.repeat(255), '', '..', 'a b', '\xff\xfe', 'x'.repeat(100_000)]) {
    for (const cgroupPath of [`/${ONE}/${id}`, `/kubepods/${id}`, '/', '', `/\xff/${id}`]) {
      assert.equal(await source.find({ id, cgroupPath }, deadline()), null);
      assert.equal(await cri.find({ id, cgroupPath }, deadline()), null);
    }
  }
});

test('a thousand labels and one of the longest kind are kept within the bound', { skip }, async () => {
  // containerd refuses labels of more than 4096 bytes, key included.
  const labels = {
    long: 'x'.repeat(4000),
    ...Object.fromEntries([...Array(1000).keys()].map((n) => [`l${n}`, 'y'.repeat(40)])),
  };
  const container = await containerd.startContainer({
    namespace: ONE,
    id: 'labels',
    script: 'sleep 1000',
    labels,
  });
  const found = await find(container);
  const bytes = [...(found?.labels ?? [])].reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  assert.ok(bytes > 10_000 && bytes <= 16 * 1024, `${bytes} bytes of labels`);
});

test(
  'events tell of created and relabelled containers, and a restart of the daemon is noticed',
  { skip },
  async (t) => {
    const followed = new ContainerdSource(containerd.socket, QUICK_TIMES);
    const listener = await follow(t, followed);
    const colour = (): string | undefined => listener.last('fresh')?.labels?.get('colour');
    await containerd.startContainer({ namespace: TWO, id: 'fresh', script: 'sleep 1000' });
    await listener.until(() => listener.last('fresh') !== undefined);
    await containerd.ctr('moby', 'containers', 'label', 'dockers', 'colour=green');
    await containerd.ctr(TWO, 'containers', 'label', 'fresh', 'colour=green');
    await listener.until(() => colour() === 'green');
    assert.equal(listener.last('dockers'), undefined, "docker's containers are docker's to tell");

    const question = { id: 'fresh', cgroupPath: `/${TWO}/fresh` };
    await bounce(listener);
    assert.equal((await followed.find(question, deadline()))?.labels?.get('colour'), 'green');
    await containerd.ctr(TWO, 'containers', 'label', 'fresh', 'colour=blue');
    await listener.until(() => colour() === 'blue');
  },
);

test('a daemon that is gone makes a look-up reject', { skip }, async () => {
  await containerd.kill();
  await assert.rejects(source.find({ id: 'fresh', cgroupPath: `/${TWO}/fresh` }, deadline()));
  await containerd.restart();
});

test(
  "a pod's container and sandbox are found by the CRI and by containerd's own API alike",
  { skip },
  async () => {
    const uid = `0d7a5e1c-0000-4000-8000-${String(process.pid).padStart(12, '0')}`;
    const pod = await containerd.pods.runPod({
      name: 'web-7d4b8c9f6d-x2k9p',
      namespace: 'shop',
      uid,
      labels: { app: 'web', 'pod-template-hash': '7d4b8c9f6d' },
      annotations: { 'resource.opentelemetry.io/service.name': 'storefront', other: 'not kept' },
      runtimeHandler: 'crun',
    });
    const id = await pod.startContainer({
      name: 'nginx',
      script: 'sleep 1000',
      env: { OTEL_SERVICE_NAME: 'front' },
      attempt: 2,
    });
    const question = { id, cgroupPath: `/kubepods/besteffort/pod${uid}/${id}` };
    const expectedPod = {
      name: 'web-7d4b8c9f6d-x2k9p',
      namespace: 'shop',
      uid,
      workload: { kind: 'deployment', name: 'web' },
    };
    for (const asked of [cri, source]) {
      const found = await asked.find(question, deadline());
      assert.equal(found?.labels?.get('app'), 'web');
      assert.equal(found?.labels?.get('resource.opentelemetry.io/service.name'), 'storefront');
      assert.equal(found?.labels?.has('other'), false);
      assert.deepEqual(
        { ...found, labels: undefined },
        {
          id,
          runtimeName: 'containerd',
          runtimeVersion: containerd.version,
          ociRuntime: 'crun',
          name: 'nginx',
          imageName: 'localhost/fdspan-busybox',
          imageTags: ['1'],
          labels: undefined,
          serviceName: 'front',
          pod: { ...expectedPod, containerName: 'nginx', restartCount: 2 },
        },
        asked.name,
      );
      const sandbox = await asked.find({ id: pod.sandboxId, cgroupPath: question.cgroupPath }, deadline());
      assert.deepEqual(sandbox?.pod, expectedPod, asked.name);
    }
  },
);

test('a CRI that goes away and comes back is noticed, with or without events', { skip }, async (t) => {
  await bounce(await follow(t, new CriSource(containerd.socket, QUICK_TIMES)));
});

test('the events of a CRI that has them tell of sandboxes and containers', { skip }, async (t) => {
  const [major, minor] = containerd.version
    .split('.')
    .map((part) => Number.parseInt(part.replace('v', ''), 10));
  if (major === 1 && minor < 7) {
    t.skip(`containerd ${containerd.version} has no container events: they came with 1.7`);
    return;
  }
  const listener = await follow(t, new CriSource(containerd.socket, QUICK_TIMES));
  const uid = `0d7a5e1c-0000-4000-8001-${String(process.pid).padStart(12, '0')}`;
  const pod = await containerd.pods.runPod({ name: 'db-0', namespace: 'bank', uid });
  const id = await pod.startContainer({ name: 'db', script: 'sleep 1000' });
  await listener.until(() => listener.last(pod.sandboxId)?.pod?.uid === uid);
  await listener.until(() => listener.last(id)?.pod?.containerName === 'db');
});
