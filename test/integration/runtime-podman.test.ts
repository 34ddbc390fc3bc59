// Podman's API, asked of a real `podman system service`: what it is expected to tell comes from podman itself.
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EngineSource } from '../../src/containers/runtimes/engine-source.ts';
import { podmanState } from '../../src/containers/runtimes/podman-state.ts';
import { whyNoContainers } from '../helpers/container.ts';
import { startPodmanService } from '../helpers/podman-service.ts';
import { RecordingListener } from '../helpers/recording-listener.ts';

const DEADLINE_MS = 20_000;
const deadline = (): AbortSignal => AbortSignal.timeout(DEADLINE_MS);

for (const runtime of ['runc', 'crun'] as const) {
  test(
    `podman with ${runtime} tells of a container when it is asked, and by events`,
    { skip: whyNoContainers(runtime) ?? false },
    async (t) => {
      const service = await startPodmanService(runtime);
      const engine = new EngineSource({ engine: 'podman', path: service.socketPath, ownerUid: null });
      t.after(() => {
        engine.close();
        return service.stop();
      });
      const listener = new RecordingListener();
      engine.follow(listener);
      await listener.until(() => listener.states.length === 1);
      assert.deepEqual(listener.states, [{ isAnswering: true, reason: '' }]);

      const annotation = 'resource.opentelemetry.io/service.name';
      const settings = ['--label', 'com.example/owner=shop', '--env', 'OTEL_SERVICE_NAME=checkout'];
      settings.push('--annotation', `${annotation}=storefront`, '--annotation', 'other=not kept');
      const id = await service.create('before', 'sleep 60', ...settings);
      await listener.until(() => listener.names(id).includes('before'));
      await service.podman(['start', id]);
      const question = { id, cgroupPath: `/libpod_parent/libpod-${id}` };
      const found = await engine.find(question, deadline());
      assert.deepEqual(found, {
        id,
        runtimeName: 'podman',
        runtimeVersion: (await service.podman(['version', '--format', '{{.Version}}'])).trim(),
        ociRuntime: runtime,
        name: 'before',
        imageName: 'localhost/fdspan-busybox',
        imageTags: ['1'],
        labels: new Map([
          ['com.example/owner', 'shop'],
          [annotation, 'storefront'],
        ]),
        serviceName: 'checkout',
      });
      const state = podmanState({ storages: [{ ...service.storage, ownerUid: 0 }] });
      const { runtimeVersion, ...withoutVersion } = found ?? {};
      assert.deepEqual(await state.find(question, deadline()), withoutVersion, `without ${runtimeVersion}`);
      await service.podman(['rename', id, 'after']);
      await listener.until(() => listener.names(id).includes('after'));
      assert.deepEqual(listener.last(id), await engine.find({ id, cgroupPath: '/' }, deadline()));

      assert.equal(await engine.find({ id: 'e'.repeat(64), cgroupPath: '/' }, deadline()), null);
      assert.equal(await engine.find({ id: id.slice(0, 12), cgroupPath: '/' }, deadline()), null);
      assert.deepEqual(listener.skips, []);
    },
  );
}

test(
  "podman is podman behind docker's socket, and only annotations make a Kubernetes pod",
  { skip: whyNoContainers('runc') ?? false },
  async (t) => {
    const service = await startPodmanService('runc');
    const folder = await mkdtemp(join(tmpdir(), 'fdspan-link-'));
    t.after(() => rm(folder, { recursive: true }));
    // What the package podman-docker makes.
    await symlink(service.socketPath, join(folder, 'docker.sock'));
    const engine = new EngineSource({ engine: 'docker', path: join(folder, 'docker.sock'), ownerUid: null });
    t.after(() => {
      engine.close();
      return service.stop();
    });
    const identity = { name: 'web', namespace: 'shop', uid: 'u-1' };
    const texts = Object.entries(identity).map(([key, value]) => `io.kubernetes.pod.${key}=${value}`);
    const labelled = await service.create('labelled', 'true', ...texts.flatMap((text) => ['--label', text]));
    const annotated = await service.create(
      'annotated',
      'true',
      ...texts.flatMap((text) => ['--annotation', text]),
    );
    const find = (id: string) => engine.find({ id, cgroupPath: '/' }, deadline());
    assert.equal((await find(labelled))?.runtimeName, 'podman');
    assert.equal((await find(labelled))?.pod, undefined);
    assert.deepEqual((await find(annotated))?.pod, identity);
  },
);
