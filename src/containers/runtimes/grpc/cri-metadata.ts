// What the Kubernetes container runtime interface tells of a container and its pod's sandbox.
import { fieldsOf, fieldsOfJson, nameOf, ownField, type Fields } from '../message-fields.ts';
import { ociRuntimeOf, serviceNameOf } from './containerd-metadata.ts';
import { imageMetadata } from '../image-name.ts';
import { labelsInPod, podIdentityOfLabels, podMetadata } from '../pod-labels.ts';
import { boundLabels, type ContainerMetadata } from '../runtime-source.ts';

export interface CriRuntime {
  readonly name: string;
  readonly version: string | null;
}

/** Returns the id of the pod's sandbox, which only the verbose part tells; null where the runtime sends none. */
export function sandboxIdOfInfo(info: Fields): string | null {
  return nameOf(info['sandboxID']);
}

/** Returns the runtime's own JSON about a container, from a verbose answer; no fields where there is none. */
export function infoOf(answer: Fields): Fields {
  return fieldsOfJson(ownField(answer['info'], 'info'));
}

/** `status` is a `runtime.v1.ContainerStatus`, `sandbox` a `PodSandboxStatus` or no fields. */
export function criContainer(
  status: Fields,
  info: Fields,
  sandbox: Fields,
  runtime: CriRuntime,
): ContainerMetadata {
  const metadata = fieldsOf(status['metadata']);
  const containerName = nameOf(metadata['name']);
  const annotations = status['annotations'];
  const image = fieldsOf(status['image']);
  const named = imageMetadata(image['image']);
  const ociRuntime = ociRuntimeOf(info['runtimeType'], fieldsOf(info['runtimeOptions'])['binary_name']);
  const serviceName = serviceNameOf(fieldsOf(info['runtimeSpec']));
  const podLabels = boundLabels(sandbox['labels']);
  const fromLabels = podIdentityOfLabels(status['labels']);
  const ofSandbox = fieldsOf(sandbox['metadata']);
  const pod = podMetadata(
    {
      name: nameOf(ofSandbox['name']) ?? fromLabels.name,
      namespace: nameOf(ofSandbox['namespace']) ?? fromLabels.namespace,
      uid: nameOf(ofSandbox['uid']) ?? fromLabels.uid,
      containerName: containerName ?? fromLabels.containerName,
      restartCount: ownField(annotations, 'io.kubernetes.container.restartCount') ?? metadata['attempt'],
    },
    podLabels,
  );
  const labels = labelsInPod(status['labels'], podLabels, sandbox['annotations']);
  return {
    id: String(status['id']),
    ...runtimePart(runtime),
    ...(ociRuntime === null ? {} : { ociRuntime }),
    ...(containerName === null ? {} : { name: containerName }),
    ...(named.imageName === undefined ? imageMetadata(image['user_specified_image']) : named),
    ...(labels.size === 0 ? {} : { labels }),
    ...(serviceName === null ? {} : { serviceName }),
    ...(pod === null ? {} : { pod }),
  };
}

/** The sandbox itself is a container, too: it holds the pod's namespaces. */
export function criSandbox(sandbox: Fields, runtime: CriRuntime): ContainerMetadata {
  const { name, namespace, uid } = fieldsOf(sandbox['metadata']);
  const podLabels = boundLabels(sandbox['labels']);
  const pod = podMetadata({ name, namespace, uid }, podLabels);
  const labels = labelsInPod({}, podLabels, sandbox['annotations']);
  return {
    id: String(sandbox['id']),
    ...runtimePart(runtime),
    ...(labels.size === 0 ? {} : { labels }),
    ...(pod === null ? {} : { pod }),
  };
}

function runtimePart(runtime: CriRuntime): Pick<ContainerMetadata, 'runtimeName' | 'runtimeVersion'> {
  return {
    runtimeName: runtime.name,
    ...(runtime.version === null ? {} : { runtimeVersion: runtime.version }),
  };
}
