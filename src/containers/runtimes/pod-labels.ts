// The Kubernetes pod of a container, from the labels that the kubelet puts on each container that it makes.
import { nameOf, ownField } from './message-fields.ts';
import { boundLabels, type PodMetadata } from './runtime-source.ts';
import { workloadOfPod } from './workload.ts';

/** Pod annotations by which users name the service of a container. */
const RESOURCE_ANNOTATIONS = 'resource.opentelemetry.io/';

export interface PodIdentity {
  readonly name: unknown;
  readonly namespace: unknown;
  readonly uid: unknown;
  readonly containerName?: unknown;
  readonly restartCount?: unknown;
}

/** Returns the identity in a container's labels, of unchecked types. */
export function podIdentityOfLabels(labels: unknown): PodIdentity {
  return {
    name: ownField(labels, 'io.kubernetes.pod.name'),
    namespace: ownField(labels, 'io.kubernetes.pod.namespace'),
    uid: ownField(labels, 'io.kubernetes.pod.uid'),
    containerName: ownField(labels, 'io.kubernetes.container.name'),
  };
}

/** Returns the pod's metadata; null unless name, namespace and uid are all known. */
export function podMetadata(
  identity: PodIdentity,
  podLabels: ReadonlyMap<string, string>,
): PodMetadata | null {
  const name = nameOf(identity.name);
  const namespace = nameOf(identity.namespace);
  const uid = nameOf(identity.uid);
  if (name === null || namespace === null || uid === null) return null;
  const containerName = nameOf(identity.containerName);
  const restartCount = countOf(identity.restartCount);
  const workload = workloadOfPod(name, podLabels);
  return {
    name,
    namespace,
    uid,
    ...(containerName === null ? {} : { containerName }),
    ...(restartCount === null ? {} : { restartCount }),
    ...(workload === null ? {} : { workload }),
  };
}

/**
 * Returns the labels of a container in a pod: its own, then the pod's, then those annotations of the pod that name
 * services (Kubernetes has no other place for them). An earlier one beats a later one of the same key.
 */
export function labelsInPod(
  containerLabels: unknown,
  podLabels: ReadonlyMap<string, string>,
  podAnnotations: unknown,
): ReadonlyMap<string, string> {
  const merged = new Map<string, unknown>(boundLabels(containerLabels));
  const later: Iterable<[string, unknown]>[] = [podLabels, resourceAnnotations(podAnnotations)];
  for (const [key, value] of later.flatMap((entries) => [...entries])) {
    if (!merged.has(key)) merged.set(key, value);
  }
  return boundLabels(Object.fromEntries(merged));
}

function resourceAnnotations(annotations: unknown): [string, unknown][] {
  if (typeof annotations !== 'object' || annotations === null) return [];
  return Object.entries(annotations).filter(([key]) => key.startsWith(RESOURCE_ANNOTATIONS));
}

/** Counts come as numbers, or in annotations as digits. */
function countOf(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}
