// State files as the real runtimes write them: each source must find the container that was started, by the
// id and group that its process has, with the names and labels that were given.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { containerOfPath } from '../../src/containers/cgroup-path.ts';
import { containerdState } from '../../src/containers/runtimes/containerd-state.ts';
import { crunState } from '../../src/containers/runtimes/crun-state.ts';
import { dockerState } from '../../src/containers/runtimes/docker-state.ts';
import { lxcState } from '../../src/containers/runtimes/lxc-state.ts';
import { nspawnState } from '../../src/containers/runtimes/nspawn-state.ts';
import { podmanState } from '../../src/containers/runtimes/podman-state.ts';
import { runcState } from '../../src/containers/runtimes/runc-state.ts';
import type { ContainerQuestion } from '../../src/containers/runtimes/runtime-source.ts';
import { startBareContainer } from '../helpers/bare-container.ts';
import { whyNoPrograms } from '../helpers/busybox-image.ts';
import { IMAGE_NAME, startContainer, whyNoContainers } from '../helpers/container.ts';
import { CONTAINERD_IMAGE, startContainerd, whyNoContainerd } from '../helpers/containerd.ts';
import { DOCKER_IMAGE, startDocker, whyNoDocker } from '../helpers/docker.ts';
import { startLxc } from '../helpers/lxc.ts';
import { startNspawn } from '../helpers/nspawn.ts';
import { groupOf } from '../helpers/runtime-commands.ts';

const SCRIPT = 'sleep 600';
/** Reason: a look-up takes milliseconds; 10 s mean that it hangs. */
const patience = (): AbortSignal => AbortSignal.timeout(10_000);

/** As the collector asks: what the path of the process's group tells. */
function questionOf(cgroupPath: string): ContainerQuestion {
  const path = containerOfPath(cgroupPath);
  assert.ok(path !== null, `${cgroupPath} names a container`);
  return { id: path.containerId, cgroupPath: path.groupPath };
}

function owned(path: string): { folders: { path: string; ownerUid: number }[] } {
  return { folders: [{ path, ownerUid: 0 }] };
}

for (const runtime of ['runc', 'crun'] as const) {
  const source = runtime === 'runc' ? runcState : crunState;

  test(
    `${runtime} alone: id, annotations as labels, image and service name`,
    {
      skip: whyNoPrograms(runtime) ?? false,
    },
    async (t) => {
      const container = await startBareContainer({
        runtime,
        id: 'web-1',
        script: SCRIPT,
        env: ['SECRET=hidden', 'OTEL_SERVICE_NAME=shop'],
        annotations: {
          'org.opencontainers.image.ref.name': 'registry.example/shop/web:2.1',
          team: 'blue=green',
          bundle: '/nowhere',
        },
      });
      t.after(() => container.stop());
      const state = source(owned(container.stateFolder));
      const question = { id: container.id, cgroupPath: container.cgroupPath };
      const found = await state.find(question, patience());
      assert.deepEqual(
        { ...found, labels: Object.fromEntries(found?.labels ?? []) },
        {
          id: 'web-1',
          runtimeName: runtime,
          ociRuntime: runtime,
          name: 'web-1',
          imageName: 'registry.example/shop/web',
          imageTags: ['2.1'],
          serviceName: 'shop',
          labels: {
            'org.opencontainers.image.ref.name': 'registry.example/shop/web:2.1',
            team: 'blue=green',
            bundle: '/nowhere',
          },
        },
      );
      const elsewhere = { id: container.id, cgroupPath: '/user.slice/user-0.slice/web-1' };
      assert.equal(await state.find(elsewhere, patience()), null, 'a group of that name that is not its own');
      await container.stop();
      assert.equal(await state.find(question, patience()), null, 'gone');
    },
  );

  test(
    `podman over ${runtime}, without its service: name, image, labels and service name`,
    {
      skip: whyNoContainers(runtime) ?? false,
    },
    async (t) => {
      const labels = { team: 'blue', 'app.kubernetes.io/name': 'shop' };
      const env = { OTEL_SERVICE_NAME: 'shop', SECRET: 'hidden' };
      const container = await startContainer({ runtime, name: 'state-web', script: SCRIPT, env, labels });
      t.after(() => container.stop());
      const question = questionOf(container.cgroupPath);
      assert.equal(question.id, container.id);
      const storages = [{ ...container.storage, ownerUid: 0 }];
      const found = await podmanState({ storages }).find(question, patience());
      const [imageName, tag] = IMAGE_NAME.split(':');
      assert.equal(found?.id, container.id);
      assert.equal(found.runtimeName, 'podman');
      assert.equal(found.ociRuntime, runtime);
      assert.equal(found.name, 'state-web');
      assert.equal(found.imageName, imageName);
      assert.deepEqual(found.imageTags, [tag]);
      assert.equal(found.serviceName, 'shop');
      for (const [key, value] of Object.entries(labels)) assert.equal(found.labels?.get(key), value);
      assert.ok(!JSON.stringify([...(found.labels ?? [])]).includes('hidden'));

      // Podman uses the OCI runtime's default root, whatever its own storage.
      const below = await source().find(question, patience());
      assert.equal(below?.runtimeName, 'podman', 'the annotation of its manager tells');
      assert.equal(below.ociRuntime, runtime);
      assert.equal(below.serviceName, 'shop');
    },
  );
}

test(
  'docker without its API: name, image, labels, service name; by the state of containerd and runc too',
  { skip: whyNoDocker() ?? false },
  async (t) => {
    const docker = await startDocker();
    t.after(() => docker.stop());
    const labels = { team: 'blue', 'com.docker.compose.service': 'shop' };
    const env = { OTEL_SERVICE_NAME: 'shop', SECRET: 'hidden' };
    const id = await docker.create({ name: 'state-shop', script: SCRIPT, env, labels });
    const question = questionOf(await groupOf(await docker.start(id)));
    assert.equal(question.id, id);
    const [imageName, tag] = DOCKER_IMAGE.split(':');
    const folder = dirname(docker.socketPath);
    const found = await dockerState(owned(join(folder, 'data'))).find(question, patience());
    assert.deepEqual(found, {
      id,
      runtimeName: 'docker',
      ociRuntime: 'runc',
      name: 'state-shop',
      imageName,
      imageTags: [tag],
      serviceName: 'shop',
      labels: new Map(Object.entries(labels)),
    });
    const task = containerdState(owned(join(folder, 'exec/containerd/daemon')));
    assert.deepEqual(await task.find(question, patience()), {
      id,
      runtimeName: 'docker',
      ociRuntime: 'runc',
      labels: new Map(),
      serviceName: 'shop',
    });
    const below = await runcState(owned(join(folder, 'exec/runtime-runc/moby'))).find(question, patience());
    assert.equal(below?.ociRuntime, 'runc');
    assert.equal(below.serviceName, 'shop');
  },
);

test(
  "containerd without its socket: a pod's names, and its sandbox's, from its CRI plugin's annotations",
  { skip: whyNoContainerd() ?? false },
  async (t) => {
    const containerd = await startContainerd();
    t.after(() => containerd.stop());
    const uid = 'd8f1c3a0-6a60-4d68-9ad5-1f6e5f0f7f11';
    const pod = await containerd.pods.runPod({ name: 'web-7d9f-x2k', namespace: 'shop', uid });
    const env = { OTEL_SERVICE_NAME: 'shop' };
    const id = await pod.startContainer({ name: 'web', script: SCRIPT, env });
    const state = join(dirname(containerd.socket), 'state');
    const source = containerdState(owned(state));
    const taskFolder = join(state, 'io.containerd.runtime.v2.task/k8s.io');
    const pidOf = async (task: string): Promise<number> =>
      Number(await readFile(join(taskFolder, task, 'init.pid'), 'utf8'));
    const question = questionOf(await groupOf(await pidOf(id)));
    assert.equal(question.id, id);
    const [imageName, tag] = CONTAINERD_IMAGE.split(':');
    const expected = {
      id,
      runtimeName: 'containerd',
      ociRuntime: 'runc',
      name: 'web',
      imageName,
      imageTags: [tag],
      serviceName: 'shop',
      labels: null,
      pod: { name: 'web-7d9f-x2k', namespace: 'shop', uid, containerName: 'web' },
    };
    assert.deepEqual({ ...(await source.find(question, patience())), labels: null }, expected);
    const sandbox = await source.find(questionOf(await groupOf(await pidOf(pod.sandboxId))), patience());
    assert.equal(sandbox?.id, pod.sandboxId);
    assert.deepEqual(sandbox.pod, { name: 'web-7d9f-x2k', namespace: 'shop', uid });
    const other = { id, cgroupPath: `/kubepods/besteffort/pod${uid}/${pod.sandboxId}` };
    assert.equal(await source.find(other, patience()), null, 'the group is not the one in the bundle');
  },
);

test(
  'containerd without its socket: a container that `ctr` started in a namespace of its own',
  { skip: whyNoContainerd() ?? false },
  async (t) => {
    const containerd = await startContainerd('fdspan-state');
    t.after(() => containerd.stop());
    const { cgroupPath } = await containerd.startContainer({
      namespace: 'fdspan-state',
      id: 'c1',
      script: SCRIPT,
      env: { OTEL_SERVICE_NAME: 'shop' },
    });
    const source = containerdState(owned(join(dirname(containerd.socket), 'state')));
    assert.deepEqual(await source.find(questionOf(cgroupPath), patience()), {
      id: 'c1',
      runtimeName: 'containerd',
      ociRuntime: 'runc',
      labels: new Map(),
      serviceName: 'shop',
    });
  },
);

test(
  'LXC: name and service name',
  {
    skip: whyNoPrograms('lxc-start', 'lxc-info', 'lxc-stop') ?? false,
  },
  async (t) => {
    const config = [
      'lxc.uts.name = web',
      'lxc.environment = OTEL_SERVICE_NAME=shop front',
      'lxc.environment=A=b',
    ];
    const container = await startLxc({ name: 'state.lxc_1', script: SCRIPT, config });
    t.after(() => container.stop());
    const question = questionOf(container.cgroupPath);
    const found = await lxcState(owned(container.root)).find(question, patience());
    assert.deepEqual(found, {
      id: 'state.lxc_1',
      runtimeName: 'lxc',
      name: 'state.lxc_1',
      serviceName: 'shop front',
    });
    assert.equal(await lxcState(owned(container.root)).find({ ...question, id: 'other' }, patience()), null);
  },
);

for (const isRegistered of [true, false]) {
  const how = isRegistered ? 'registered with the machine manager' : 'that nobody registered';
  test(
    `systemd-nspawn, a machine ${how}: name and service name`,
    {
      skip: whyNoPrograms('systemd-nspawn', 'dbus-daemon', 'busctl') ?? false,
    },
    async (t) => {
      const machine = await startNspawn({ name: 'state-web', script: SCRIPT, isRegistered });
      t.after(() => machine.stop());
      const folders = {
        machines: join(machine.runFolder, 'machines'),
        propagate: join(machine.runFolder, 'nspawn/propagate'),
        settings: [join(machine.runFolder, 'nspawn')],
      };
      await mkdir(folders.settings[0], { recursive: true });
      const settings = '[Exec]\nBoot=no\nEnvironment="OTEL_SERVICE_NAME=shop front" A=b\n[Files]\nBind=/x\n';
      await writeFile(join(folders.settings[0], 'state-web.nspawn'), settings);
      const question = questionOf(machine.cgroupPath);
      assert.deepEqual(await nspawnState(folders).find(question, patience()), {
        id: 'state-web',
        runtimeName: 'systemd-nspawn',
        name: 'state-web',
        serviceName: 'shop front',
      });
      assert.equal(await nspawnState(folders).find({ ...question, id: 'other' }, patience()), null);
    },
  );
}
