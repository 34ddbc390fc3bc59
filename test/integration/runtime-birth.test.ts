// Look-ups as they are made: within milliseconds of a control group's creation, when its runtime may not know the
// container yet, and again a few times. What is answered first must be the whole answer: nobody asks again after it.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { containerdState } from '../../src/containers/runtimes/containerd-state.ts';
import { ContainerdSource } from '../../src/containers/runtimes/containerd.ts';
import { CriSource } from '../../src/containers/runtimes/cri.ts';
import { crunState } from '../../src/containers/runtimes/crun-state.ts';
import { dockerState } from '../../src/containers/runtimes/docker-state.ts';
import { EngineSource } from '../../src/containers/runtimes/engine-source.ts';
import { podmanState } from '../../src/containers/runtimes/podman-state.ts';
import { runcState } from '../../src/containers/runtimes/runc-state.ts';
import type { ContainerMetadata, RuntimeSource } from '../../src/containers/runtimes/runtime-source.ts';
import { findHierarchy } from '../helpers/cgroup.ts';
import { whyNoContainers } from '../helpers/container.ts';
import { startContainerd, whyNoContainerd } from '../helpers/containerd.ts';
import { startDocker, whyNoDocker } from '../helpers/docker.ts';
import { startPodmanService } from '../helpers/podman-service.ts';

const SCRIPT = 'sleep 600';
const HIERARCHY = findHierarchy('v2') ?? '';
/** The waits between look-ups of one container. */
const WAITS_MS = [20, 50, 100, 200, 400];
const LOOK_UP_TIMEOUT_MS = 2_000;
/** Reason: runtimes start containers in 1 s; other tests may share the machine's 2 cores. */
const BIRTH_TIMEOUT_MS = 30_000;
const deadline = (): AbortSignal => AbortSignal.timeout(LOOK_UP_TIMEOUT_MS);

/** Waits for a group below `parent` that `isWanted`; returns its name. Looks each millisecond. */
async function untilBorn(parent: string, isWanted: (name: string) => boolean): Promise<string> {
  const endMs = performance.now() + BIRTH_TIMEOUT_MS;
  for (;;) {
    const names = existsSync(join(HIERARCHY, parent)) ? readdirSync(join(HIERARCHY, parent)) : [];
    const born = names.find(
      (name) => isWanted(name) && existsSync(join(HIERARCHY, parent, name, 'cgroup.procs')),
    );
    if (born !== undefined) return born;
    assert.ok(performance.now() < endMs, `a group below ${parent}`);
    await delay(1);
  }
}

interface Asked {
  readonly source: RuntimeSource;
  readonly found: ContainerMetadata | null;
}

/** Asks as a newly seen group is asked about: a source that doesn't know it is asked again. */
async function askNewborn(
  sources: readonly RuntimeSource[],
  id: string,
  cgroupPath: string,
): Promise<Asked[]> {
  return Promise.all(
    sources.map(async (source) => {
      let found = await source.find({ id, cgroupPath }, deadline());
      for (const waitMs of WAITS_MS) {
        if (found !== null) break;
        await delay(waitMs);
        found = await source.find({ id, cgroupPath }, deadline());
      }
      return { source, found };
    }),
  );
}

/** What a source said first, it says still. */
async function assertWhole(asked: readonly Asked[], id: string, cgroupPath: string): Promise<void> {
  for (const { source, found } of asked) {
    assert.equal(found?.id, id, `${source.name} knows it in time`);
    assert.deepEqual(found, await source.find({ id, cgroupPath }, deadline()), source.name);
  }
}

const owned = (path: string) => ({ folders: [{ path, ownerUid: 0 }] });

test('docker is asked in time, by its API and by its state', { skip: whyNoDocker() ?? false }, async (t) => {
  const docker = await startDocker();
  const folder = dirname(docker.socketPath);
  const sources = [
    new EngineSource({ engine: 'docker', path: docker.socketPath, ownerUid: null }),
    dockerState(owned(join(folder, 'data'))),
    containerdState(owned(join(folder, 'exec/containerd/daemon'))),
    runcState(owned(join(folder, 'exec/runtime-runc/moby'))),
  ];
  t.after(async () => {
    for (const source of sources) source.close();
    await docker.stop();
  });
  const env = { OTEL_SERVICE_NAME: 'shop' };
  const id = await docker.create({ name: 'newborn', script: SCRIPT, env, labels: { team: 'blue' } });
  const started = docker.start(id);
  await untilBorn('/docker', (name) => name === id);
  const asked = await askNewborn(sources, id, `/docker/${id}`);
  await started;
  await assertWhole(asked, id, `/docker/${id}`);
});

for (const runtime of ['runc', 'crun'] as const) {
  test(
    `podman with ${runtime} is asked in time, by its API and by its state`,
    { skip: whyNoContainers(runtime) ?? false },
    async (t) => {
      const service = await startPodmanService(runtime);
      const sources = [
        new EngineSource({ engine: 'podman', path: service.socketPath, ownerUid: null }),
        podmanState({ storages: [{ ...service.storage, ownerUid: 0 }] }),
        runtime === 'runc' ? runcState() : crunState(),
      ];
      t.after(async () => {
        for (const source of sources) source.close();
        await service.stop();
      });
      const settings = ['--label', 'team=blue', '--env', 'OTEL_SERVICE_NAME=shop'];
      const id = await service.create('newborn', SCRIPT, ...settings);
      const cgroupPath = `/libpod_parent/libpod-${id}`;
      const started = service.podman(['start', id]);
      await untilBorn('/libpod_parent', (name) => name === `libpod-${id}`);
      const asked = await askNewborn(sources, id, cgroupPath);
      await started;
      await assertWhole(asked, id, cgroupPath);
    },
  );
}

test(
  'containerd is asked in time, by its API, by that of Kubernetes and by its state',
  { skip: whyNoContainerd('runc') ?? false },
  async (t) => {
    const namespace = `fdspan-${process.pid}-birth`;
    const containerd = await startContainerd(namespace);
    const own = [
      new ContainerdSource(containerd.socket),
      containerdState(owned(join(dirname(containerd.socket), 'state'))),
    ];
    const cri = new CriSource(containerd.socket);
    t.after(async () => {
      for (const source of [...own, cri]) source.close();
      await containerd.stop();
    });
    const env = { OTEL_SERVICE_NAME: 'shop' };
    const labels = { team: 'blue' };
    const started = containerd.startContainer({ namespace, id: 'newborn', script: SCRIPT, env, labels });
    await untilBorn(`/${namespace}`, (name) => name === 'newborn');
    const cgroupPath = `/${namespace}/newborn`;
    const asked = await askNewborn(own, 'newborn', cgroupPath);
    await started;
    await assertWhole(asked, 'newborn', cgroupPath);

    const uid = `0d7a5e1c-0000-4000-8002-${String(process.pid).padStart(12, '0')}`;
    const parent = `/kubepods/besteffort/pod${uid}`;
    const running = containerd.pods.runPod({ name: 'web-0', namespace: 'shop', uid, labels });
    const sandboxId = await untilBorn(parent, () => true);
    const askedOfSandbox = await askNewborn([...own, cri], sandboxId, `${parent}/${sandboxId}`);
    const pod = await running;
    await assertWhole(askedOfSandbox, sandboxId, `${parent}/${sandboxId}`);
    const starting = pod.startContainer({ name: 'web', script: SCRIPT, env });
    const id = await untilBorn(parent, (name) => name !== sandboxId && /^[0-9a-f]{64}$/.test(name));
    const askedOfContainer = await askNewborn([...own, cri], id, `${parent}/${id}`);
    assert.equal(await starting, id);
    await assertWhole(askedOfContainer, id, `${parent}/${id}`);
  },
);
