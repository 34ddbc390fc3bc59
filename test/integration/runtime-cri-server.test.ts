// The container runtime interface as other runtimes than the containerd of runtime-containerd.test.ts speak it: a
// server made from the published proto, no CRI-O and no cri-dockerd.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { CriSource } from '../../src/containers/runtimes/cri.ts';
import type { ContainerMetadata } from '../../src/containers/runtimes/runtime-source.ts';
import { serveGrpc, statusError, type Handler } from '../helpers/grpc-server.ts';
import { RecordingListener } from '../helpers/recording-listener.ts';

const ID = 'c'.repeat(64);
const SANDBOX = 'd'.repeat(64);
const QUESTION = { id: ID, cgroupPath: `/kubepods.slice/kubepods-podx.slice/crio-${ID}.scope` };
const UNKNOWN = 2;
const NOT_FOUND = 5;

let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'fdspan-cri-'))));
after(() => rm(folder, { recursive: true, force: true }));

const deadline = (): AbortSignal => AbortSignal.timeout(10_000);

const VERSION: Handler = () => ({ version: '0.1.0', runtime_name: 'cri-o', runtime_version: '1.34.1' });
const STATUS = {
  id: ID,
  metadata: { name: 'db', attempt: 1 },
  image: { image: 'quay.io:443/team/db:9@sha256:' + 'a'.repeat(64) },
  labels: { 'io.kubernetes.pod.name': 'db-0', 'io.kubernetes.container.name': 'db' },
  annotations: {},
};
const INFO = {
  sandboxID: SANDBOX,
  pid: 7,
  runtimeSpec: { process: { env: ['A=1', 'OTEL_SERVICE_NAME=ledger'] } },
};
const POD = {
  id: SANDBOX,
  metadata: { name: 'db-0', uid: 'u-1', namespace: 'bank', attempt: 0 },
  labels: { 'statefulset.kubernetes.io/pod-name': 'db-0' },
};

let count = 0;
async function serve(t: TestContext, methods: Readonly<Record<string, Handler>>): Promise<CriSource> {
  const socket = join(folder, `${++count}.sock`);
  const named = Object.entries({ Version: VERSION, ...methods }).map(
    ([method, handler]) => [`runtime.v1.RuntimeService/${method}`, handler] as const,
  );
  const server = await serveGrpc(socket, ['cri.proto'], Object.fromEntries(named));
  const source = new CriSource(socket);
  t.after(() => {
    source.close();
    server.close();
  });
  return source;
}

const EXPECTED: ContainerMetadata = {
  id: ID,
  runtimeName: 'cri-o',
  runtimeVersion: '1.34.1',
  name: 'db',
  imageName: 'quay.io:443/team/db',
  imageTags: ['9'],
  labels: new Map([
    ['io.kubernetes.pod.name', 'db-0'],
    ['io.kubernetes.container.name', 'db'],
    ['statefulset.kubernetes.io/pod-name', 'db-0'],
  ]),
  serviceName: 'ledger',
  pod: {
    name: 'db-0',
    namespace: 'bank',
    uid: 'u-1',
    containerName: 'db',
    restartCount: 1,
    workload: { kind: 'statefulset', name: 'db' },
  },
};

test('a server of the published proto that answers as CRI-O does: container, pod and version', async (t) => {
  const source = await serve(t, {
    ContainerStatus: ({ container_id, verbose }) => ({
      status: container_id === ID ? STATUS : null,
      info: verbose ? { info: JSON.stringify(INFO) } : {},
    }),
    PodSandboxStatus: () => ({ status: POD }),
  });
  assert.deepEqual(await source.find(QUESTION, deadline()), EXPECTED);
});

test('a runtime that tells no sandbox in its verbose part is asked for its list', async (t) => {
  const source = await serve(t, {
    ContainerStatus: () => ({ status: STATUS }),
    ListContainers: ({ filter }) => ({
      containers: [
        { id: `${String(filter.id)}0`, pod_sandbox_id: 'other' },
        { id: filter.id, pod_sandbox_id: SANDBOX },
      ],
    }),
    PodSandboxStatus: ({ pod_sandbox_id }) => ({ status: { ...POD, id: pod_sandbox_id } }),
  });
  const found = await source.find(QUESTION, deadline());
  assert.deepEqual(found?.pod, EXPECTED.pod);
  assert.equal(found?.serviceName, undefined);
});

test('an id that is a prefix of others is not theirs', async (t) => {
  const source = await serve(t, {
    ContainerStatus: () => ({ status: { ...STATUS, id: `${ID}0` } }),
    PodSandboxStatus: () => ({ status: { ...POD, id: `${ID}1` } }),
  });
  assert.equal(await source.find(QUESTION, deadline()), null);
});

test('an unknown id is null, whichever way the runtime says so; other errors reject', async (t) => {
  const unknown = await serve(t, {
    ContainerStatus: () => Promise.reject(statusError(NOT_FOUND, 'not found')),
    PodSandboxStatus: () => Promise.reject(statusError(NOT_FOUND, 'not found')),
  });
  assert.equal(await unknown.find(QUESTION, deadline()), null);
  // As cri-dockerd puts it.
  const texts = [
    `Error response from daemon: No such container: ${ID}`,
    'failed to parse the container name: "web"',
    'container is not managed by kubernetes: "a_b_c_d_e_0"',
  ];
  for (const text of texts) {
    const dockers = await serve(t, {
      ContainerStatus: () => Promise.reject(statusError(UNKNOWN, text)),
      PodSandboxStatus: () => Promise.reject(statusError(UNKNOWN, text)),
    });
    assert.equal(await dockers.find(QUESTION, deadline()), null);
  }
  const broken = await serve(t, {
    ContainerStatus: () => Promise.reject(statusError(UNKNOWN, 'x'.repeat(4_000))),
  });
  await assert.rejects(broken.find(QUESTION, deadline()), (error: Error) => {
    assert.match(error.message, /ContainerStatus on .*\.sock: gRPC status 2: x+$/);
    return error.message.length < 500;
  });
});

test("a sandbox that is told as a container, as cri-dockerd does, is the pod's sandbox", async (t) => {
  const source = await serve(t, {
    ContainerStatus: () => ({ status: { ...STATUS, id: SANDBOX, metadata: { name: 'POD' } } }),
    PodSandboxStatus: () => ({ status: POD }),
  });
  const found = await source.find({ ...QUESTION, id: SANDBOX }, deadline());
  assert.equal(found?.pod?.uid, 'u-1');
  assert.equal(found?.pod?.containerName, undefined);
  assert.equal(found?.name, undefined);
});

test('an image known by its id only is named by what the user asked for', async (t) => {
  const image = { image: `sha256:${'b'.repeat(64)}`, user_specified_image: 'registry.example/app:v1' };
  const source = await serve(t, {
    ContainerStatus: () => ({ status: { ...STATUS, image }, info: { info: JSON.stringify(INFO) } }),
    PodSandboxStatus: () => ({ status: POD }),
  });
  const found = await source.find(QUESTION, deadline());
  assert.equal(found?.imageName, 'registry.example/app');
  assert.deepEqual(found?.imageTags, ['v1']);
});

test('events of created and started containers make them known; those of ended ones ask nothing', async (t) => {
  let asked = 0;
  const source = await serve(t, {
    GetContainerEvents: (_, send) => {
      send({ container_id: SANDBOX, container_event_type: 'CONTAINER_DELETED_EVENT' });
      send({ container_id: '../../x y', container_event_type: 'CONTAINER_CREATED_EVENT' });
      send({ container_id: ID, container_event_type: 'CONTAINER_STARTED_EVENT' });
      return new Promise<object>(() => undefined);
    },
    ContainerStatus: () => {
      asked += 1;
      return { status: STATUS, info: { info: JSON.stringify(INFO) } };
    },
    PodSandboxStatus: () => ({ status: POD }),
  });
  const listener = new RecordingListener();
  source.follow(listener);
  await listener.until(() => listener.changes.length > 0);
  assert.deepEqual(listener.changes[0], EXPECTED);
  assert.equal(asked, 1);
});

test('a runtime that names itself by nothing is no runtime', async (t) => {
  const source = await serve(t, { Version: () => ({}) });
  await assert.rejects(source.find(QUESTION, deadline()), /names no runtime/);
});
