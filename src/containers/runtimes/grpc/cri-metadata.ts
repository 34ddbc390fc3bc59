// What the Kubernetes container runtime interface tells of a container and its pod's sandbox.
import { fieldsOf, known, nameOf, recordOfText, type Fields } from '../fields.ts';
import { imageMetadata } from '../image-name.ts';
import { mergeLabels } from '../labels.ts';
import { podIdentityOf, podOf } from '../pod.ts';
import { boundLabels, type ContainerMetadata } from '../runtime-source.ts';
import { serviceNameOfSpec } from '../service-name.ts';
import { ociRuntimeOf } from './containerd-metadata.ts';

export interface CriRuntime {
  readonly name: string;
  readonly version: string | undefined;
}

/** Returns the id of the pod's sandbox, which only the verbose part tells; undefined where the runtime sends none. */
export function sandboxIdOfInfo(info: Fields): string | undefined {
  return nameOf(info.sandboxID);
}

/** Returns the runtime's own JSON about a container, from a verbose answer; no fields where there is none. */
export function infoOf(answer: Fields): Fields {
  return fieldsOf(recordOfText(fieldsOf(answer.info).info));
}

/** `status` is a `runtime.v1.ContainerStatus`, `sandbox` a `PodSandboxStatus` or no fields. */
export function criContainer(
  status: Fields,
  info: Fields,
  sandbox: Fields,
  runtime: CriRuntime,
): ContainerMetadata {
  const metadata = fieldsOf(status.metadata);
  const image = fieldsOf(status.image);
  const named = imageMetadata(image.image);
  const ofSandbox = fieldsOf(sandbox.metadata);
  const fromLabels = podIdentityOf(status.labels);
  const containerName = nameOf(metadata.name);
  const pod = podOf(
    {
      name: nameOf(ofSandbox.name) ?? fromLabels.name,
      namespace: nameOf(ofSandbox.namespace) ?? fromLabels.namespace,
      uid: nameOf(ofSandbox.uid) ?? fromLabels.uid,
      containerName: containerName ?? fromLabels.containerName,
      restartCount: fieldsOf(status.annotations)['io.kubernetes.container.restartCount'] ?? metadata.attempt,
    },
    boundLabels(sandbox.labels),
  );
  return known<ContainerMetadata>({
    id: String(status.id),
    runtimeName: runtime.name,
    runtimeVersion: runtime.version,
    ociRuntime: ociRuntimeOf(info.runtimeType, fieldsOf(info.runtimeOptions).binary_name),
    name: containerName,
    ...(named.imageName === undefined ? imageMetadata(image.user_specified_image) : named),
    labels: mergeLabels([status.labels, sandbox.labels], sandbox.annotations),
    serviceName: serviceNameOfSpec(info.runtimeSpec),
    pod,
  });
}

/** The sandbox itself is a container, too: it holds the pod's namespaces. */
export function criSandbox(sandbox: Fields, runtime: CriRuntime): ContainerMetadata {
  const { name, namespace, uid } = fieldsOf(sandbox.metadata);
  return known<ContainerMetadata>({
    id: String(sandbox.id),
    runtimeName: runtime.name,
    runtimeVersion: runtime.version,
    labels: mergeLabels([sandbox.labels], sandbox.annotations),
    pod: podOf({ name, namespace, uid }, boundLabels(sandbox.labels)),
  });
}
