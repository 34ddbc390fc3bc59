// The Kubernetes pod of a container, by what the kubelet and its runtimes leave on each container that they make.
import { fieldsOf, known, nameOf } from './fields.ts';
import type { PodMetadata } from './runtime-source.ts';
import { workloadOfPod } from './workload.ts';

/** What may tell of a pod, of unchecked types. */
export interface PodIdentity {
  readonly name: unknown;
  readonly namespace: unknown;
  readonly uid: unknown;
  readonly containerName?: unknown;
  readonly restartCount?: unknown;
}

/** A pod's own sandbox carries this in place of a container's name where docker made it; Kubernetes' names have no capitals. */
export const DOCKER_SANDBOX_NAME = 'POD';

/** Returns the identity in the kubelet's labels (or annotations) `io.kubernetes.…`. */
export function podIdentityOf(labels: unknown): PodIdentity {
  const label = fieldsOf(labels);
  const containerName = label['io.kubernetes.container.name'];
  const identity = {
    name: label['io.kubernetes.pod.name'],
    namespace: label['io.kubernetes.pod.namespace'],
    uid: label['io.kubernetes.pod.uid'],
  };
  const isSandbox =
    containerName === DOCKER_SANDBOX_NAME || label['io.kubernetes.docker.type'] === 'podsandbox';
  if (isSandbox) return identity;
  const restartCount =
    label['io.kubernetes.container.restartCount'] ??
    // dockershim and cri-dockerd keep annotations as labels with a prefix.
    label['annotation.io.kubernetes.container.restartCount'];
  return { ...identity, containerName, restartCount };
}

/**
 * Returns the pod's metadata; undefined unless name, namespace and uid are all known. `podLabels` are the pod's own,
 * where they are known: they tell its workload.
 */
export function podOf(
  identity: PodIdentity,
  podLabels: ReadonlyMap<string, string> = new Map(),
): PodMetadata | undefined {
  const name = nameOf(identity.name);
  const namespace = nameOf(identity.namespace);
  const uid = nameOf(identity.uid);
  if (name === undefined || namespace === undefined || uid === undefined) return undefined;
  return known<PodMetadata>({
    name,
    namespace,
    uid,
    containerName: nameOf(identity.containerName),
    restartCount: countOf(identity.restartCount),
    workload: workloadOfPod(name, podLabels) ?? undefined,
  });
}

/** Counts come as numbers, or in labels and annotations as digits. */
function countOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}
