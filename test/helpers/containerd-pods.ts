// Makes Kubernetes pods on a test's containerd as the kubelet does: by the container runtime interface, with the
// kubelet's labels and annotations. Pods use the host's network: nothing sets one up here.
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import * as loader from '@grpc/proto-loader';

/** Reason: as for the commands of a container's start. */
const CALL_TIMEOUT_MS = 30_000;
/** NamespaceMode NODE. */
const HOST_NETWORK = { namespace_options: { network: 2 } };

export interface PodOptions {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly runtimeHandler?: 'runc' | 'crun';
}

export interface PodContainerOptions {
  readonly name: string;
  /** Run by busybox's `sh -c`. */
  readonly script: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly attempt?: number;
}

export interface Pod {
  readonly sandboxId: string;
  /** Starts a container in the pod and returns its id. */
  startContainer(options: PodContainerOptions): Promise<string>;
}

export interface Pods {
  runPod(options: PodOptions): Promise<Pod>;
  removeAll(): Promise<void>;
}

/** `cgroups` is told each pod's control group, for whoever cleans up. */
export function createPods(socket: string, image: string, cgroups: Set<string>): Pods {
  const file = fileURLToPath(new URL('./proto/cri-create.proto', import.meta.url));
  const definition = loader.loadSync(file, { keepCase: true })['runtime.v1.RuntimeService'] as any;
  const client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure());
  const sandboxIds: string[] = [];
  const call = (method: string, request: object): Promise<any> =>
    new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = definition[method];
      const options = { deadline: Date.now() + CALL_TIMEOUT_MS };
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        options,
        (error, answer) => (error === null ? resolve(answer) : reject(error)),
      );
    });
  return {
    async runPod(options) {
      const { name, namespace, uid, labels = {}, annotations = {}, runtimeHandler = 'runc' } = options;
      const group = `/kubepods/besteffort/pod${uid}`;
      cgroups.add(group);
      const identity = {
        'io.kubernetes.pod.name': name,
        'io.kubernetes.pod.namespace': namespace,
        'io.kubernetes.pod.uid': uid,
      };
      const config = {
        metadata: { name, namespace, uid, attempt: 0 },
        labels: { ...labels, ...identity },
        annotations,
        linux: { cgroup_parent: group, security_context: HOST_NETWORK },
      };
      const answer = await call('RunPodSandbox', { config, runtime_handler: runtimeHandler });
      const sandboxId: string = answer.pod_sandbox_id;
      sandboxIds.push(sandboxId);
      return {
        sandboxId,
        async startContainer({ name: containerName, script, env = {}, attempt = 0 }) {
          const containerConfig = {
            metadata: { name: containerName, attempt },
            image: { image },
            command: ['/bin/sh', '-c', script],
            envs: Object.entries(env).map(([key, value]) => ({ key, value })),
            labels: { ...identity, 'io.kubernetes.container.name': containerName },
            annotations: { 'io.kubernetes.container.restartCount': String(attempt) },
            linux: { security_context: HOST_NETWORK },
          };
          const request = { pod_sandbox_id: sandboxId, config: containerConfig, sandbox_config: config };
          const { container_id } = await call('CreateContainer', request);
          await call('StartContainer', { container_id });
          return container_id as string;
        },
      };
    },
    async removeAll() {
      for (const pod_sandbox_id of sandboxIds.splice(0)) {
        await call('StopPodSandbox', { pod_sandbox_id });
        await call('RemovePodSandbox', { pod_sandbox_id });
      }
      client.close();
    },
  };
}
