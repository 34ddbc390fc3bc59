// Docker's API, asked of a real dockerd: what it is expected to tell comes from docker's own client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EngineSource } from '../../src/containers/runtimes/engine-source.ts';
import { DOCKER_IMAGE, startDocker, whyNoDocker, type DockerDaemon } from '../helpers/docker.ts';
import { QUICK_TIMES, RecordingListener } from '../helpers/recording-listener.ts';

const skip = whyNoDocker() ?? false;
const DEADLINE_MS = 10_000;
const deadline = (): AbortSignal => AbortSignal.timeout(DEADLINE_MS);

let docker: DockerDaemon;
before(async () => {
  if (skip === false) docker = await startDocker();
});
after(() => docker?.stop());

function source(): EngineSource {
  return new EngineSource({ engine: 'docker', path: docker.socketPath, ownerUid: null });
}

test(
  'a container of docker is found with its name, image, labels, service, version and runtime',
  { skip },
  async (t) => {
    const engine = source();
    t.after(() => engine.close());
    const labels = { 'com.example/owner': 'shop & söhne', empty: '' };
    const env = { OTEL_SERVICE_NAME: 'checkout', SECRET: 'hidden' };
    const id = await docker.create({ name: 'found', script: 'sleep 60', labels, env });
    const metadata = await engine.find({ id, cgroupPath: `/docker/${id}` }, deadline());
    assert.deepEqual(metadata, {
      id,
      runtimeName: 'docker',
      runtimeVersion: await docker.docker('version', '--format', '{{.Server.Version}}'),
      ociRuntime: await docker.docker('inspect', '--format', '{{.HostConfig.Runtime}}', id),
      name: 'found',
      imageName: DOCKER_IMAGE.replace(/:1$/, ''),
      imageTags: ['1'],
      labels: new Map(Object.entries(labels)),
      serviceName: 'checkout',
    });
    assert.equal(metadata?.ociRuntime, 'runc');
  },
);

test('an id that docker does not know, part of one and a name are not found', { skip }, async (t) => {
  const engine = source();
  t.after(() => engine.close());
  const id = await docker.create({ name: 'f'.repeat(64), script: 'true' });
  for (const unknown of ['e'.repeat(64), id.slice(0, 12), 'f'.repeat(64), '../../version', '']) {
    assert.equal(await engine.find({ id: unknown, cgroupPath: '/' }, deadline()), null, unknown);
  }
  assert.equal((await engine.find({ id, cgroupPath: '/' }, deadline()))?.name, 'f'.repeat(64));
});

test('a container started by the id of its image has no image name', { skip }, async (t) => {
  const engine = source();
  t.after(() => engine.close());
  const image = await docker.docker('image', 'inspect', '--format', '{{.Id}}', DOCKER_IMAGE);
  const short = image.slice('sha256:'.length).slice(0, 12);
  for (const reference of [image, short]) {
    const id = await docker.docker('create', '--network', 'none', reference, 'true');
    const metadata = await engine.find({ id, cgroupPath: '/' }, deadline());
    assert.equal(metadata?.id, id);
    assert.equal(metadata?.imageName, undefined, reference);
    assert.equal(metadata?.imageTags, undefined);
  }
});

test("the kubelet's labels of a container of dockershim name its pod", { skip }, async (t) => {
  const engine = source();
  t.after(() => engine.close());
  const pod = {
    'io.kubernetes.pod.name': 'web-7d9c',
    'io.kubernetes.pod.namespace': 'shop',
    'io.kubernetes.pod.uid': '5e0a0f6e-0000-4000-8000-000000000001',
  };
  const container = {
    ...pod,
    'io.kubernetes.docker.type': 'container',
    'io.kubernetes.container.name': 'nginx',
    'annotation.io.kubernetes.container.restartCount': '3',
  };
  const sandbox = {
    ...pod,
    'io.kubernetes.docker.type': 'podsandbox',
    'io.kubernetes.container.name': 'POD',
  };
  const found = async (name: string, labels: Record<string, string>) => {
    const id = await docker.create({ name, script: 'true', labels });
    return engine.find({ id, cgroupPath: '/' }, deadline());
  };
  const identity = { name: 'web-7d9c', namespace: 'shop', uid: '5e0a0f6e-0000-4000-8000-000000000001' };
  assert.deepEqual((await found('k8s_nginx', container))?.pod, {
    ...identity,
    containerName: 'nginx',
    restartCount: 3,
  });
  assert.deepEqual((await found('k8s_POD', sandbox))?.pod, identity);
});

test('events tell of a container before it starts, and of its new name', { skip }, async (t) => {
  const engine = source();
  const listener = new RecordingListener();
  t.after(() => engine.close());
  engine.follow(listener);
  await listener.until(() => listener.states.length === 1);
  assert.deepEqual(listener.states, [{ isAnswering: true, reason: '' }]);
  const id = await docker.create({ name: 'before', script: 'sleep 60', labels: { a: 'b' } });
  await listener.until(() => listener.names(id).includes('before'));
  await docker.start(id);
  await docker.docker('rename', id, 'after');
  await listener.until(() => listener.names(id).includes('after'));
  assert.deepEqual(listener.last(id), await engine.find({ id, cgroupPath: '/' }, deadline()));
  assert.deepEqual(listener.skips, []);
});

test('a dockerd that is restarted is followed again, and what it does then is told', { skip }, async (t) => {
  const engine = source();
  const listener = new RecordingListener();
  t.after(() => engine.close());
  engine.follow(listener);
  await listener.until(() => listener.states.length === 1);
  await docker.restart();
  await listener.until(() => listener.states.at(-1)?.isAnswering === true && listener.states.length >= 3);
  assert.deepEqual(
    listener.states.slice(0, 2).map(({ isAnswering }) => isAnswering),
    [true, false],
  );
  assert.notEqual(listener.states[1].reason, '');
  const id = await docker.create({ name: 'reborn', script: 'true' });
  await listener.until(() => listener.names(id).includes('reborn'));
});

test(
  'a dockerd that hangs is noticed, holds nobody, and is followed again when it goes on',
  { skip },
  async (t) => {
    const engine = new EngineSource(
      { engine: 'docker', path: docker.socketPath, ownerUid: null },
      QUICK_TIMES,
    );
    const listener = new RecordingListener();
    t.after(() => {
      docker.signal('SIGCONT');
      engine.close();
    });
    const id = await docker.create({ name: 'hung', script: 'true' });
    engine.follow(listener);
    await listener.until(() => listener.states.length === 1);
    docker.signal('SIGSTOP');
    const signal = AbortSignal.timeout(100);
    await assert.rejects(engine.find({ id, cgroupPath: '/' }, signal), (error) => error === signal.reason);
    await listener.until(() => listener.states.length === 2);
    assert.equal(listener.states[1].isAnswering, false);
    docker.signal('SIGCONT');
    await listener.until(() => listener.states.length === 3);
    await docker.docker('rename', id, 'awake');
    await listener.until(() => listener.names(id).includes('awake'));
  },
);

test('a hundred look-ups at once are all answered', { skip }, async (t) => {
  const engine = source();
  t.after(() => engine.close());
  const id = await docker.create({ name: 'many', script: 'true' });
  const asked = Array.from({ length: 100 }, () => engine.find({ id, cgroupPath: '/' }, deadline()));
  const names = (await Promise.all(asked)).map((metadata) => metadata?.name);
  assert.deepEqual([...new Set(names)], ['many']);
});
