// The resource attributes that a container's runtime knows. What isn't known is left out.
import type { Attributes, AttributeValue } from '../model/attributes.ts';
import { droppedLabels, type ContainerMetadata, type PodMetadata } from './runtimes/runtime-source.ts';

/** Annotations that name resource attributes (OpenTelemetry's resource semantic conventions for Kubernetes). */
const ATTRIBUTE_ANNOTATION = 'resource.opentelemetry.io/';
/** Kinds that the semantic conventions have an attribute `k8s.<kind>.name` for. */
const WORKLOAD_KINDS = new Set(['deployment', 'replicaset', 'statefulset', 'daemonset', 'job', 'cronjob']);

/**
 * Returns what the container is called as a service: by its own environment, its annotation, its workload, its pod or its
 * name; undefined where none of them is known.
 */
export function serviceNameOf(metadata: ContainerMetadata | null): string | undefined {
  if (metadata === null) return undefined;
  const { pod } = metadata;
  return (
    metadata.serviceName ??
    metadata.labels?.get(`${ATTRIBUTE_ANNOTATION}service.name`) ??
    pod?.workload?.name ??
    pod?.name ??
    metadata.name
  );
}

/**
 * Returns the attributes that are known of the container; see {@link annotatedAttributes} and {@link labelAttributes} for
 * those that it chose itself.
 */
export function metadataAttributes(metadata: ContainerMetadata): Attributes {
  const attributes: Record<string, AttributeValue | undefined> = {
    'service.name': serviceNameOf(metadata),
    'container.name': metadata.pod?.containerName ?? metadata.name,
    'container.image.name': metadata.imageName,
    'container.image.tags': metadata.imageTags?.length === 0 ? undefined : metadata.imageTags,
    'container.runtime.name': metadata.runtimeName,
    'container.runtime.version': metadata.runtimeVersion,
    'fdspan.oci.runtime': metadata.ociRuntime,
    ...podAttributes(metadata.pod),
  };
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, AttributeValue] => entry[1] !== undefined),
  );
}

/** Returns the labels that are wanted, as attributes. */
export function labelAttributes(
  { labels }: ContainerMetadata,
  isLabelWanted: (key: string) => boolean,
): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [key, value] of labels ?? []) {
    if (isLabelWanted(key)) attributes[`container.label.${key}`] = value;
  }
  return attributes;
}

/**
 * Returns how many labels that are wanted were left out for their bytes. Of those whose keys weren't kept either, all
 * count as soon as any label is wanted.
 */
export function droppedLabelCount(
  metadata: ContainerMetadata | null,
  isLabelWanted: (key: string) => boolean,
): number {
  const { keys, more } = droppedLabels(metadata?.labels);
  const wanted = keys.filter(isLabelWanted).length;
  const isAnyWanted = wanted > 0 || [...(metadata?.labels?.keys() ?? [])].some(isLabelWanted);
  return wanted + (isAnyWanted ? more : 0);
}

/**
 * Returns the attributes that annotations and labels name (`resource.opentelemetry.io/…`). Whoever made the container or its
 * image chose them: what is known of it goes before.
 */
export function annotatedAttributes({ labels }: ContainerMetadata): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [key, value] of labels ?? []) {
    const name = key.startsWith(ATTRIBUTE_ANNOTATION) ? key.slice(ATTRIBUTE_ANNOTATION.length) : '';
    // fdspan's own attributes, ids, pods and the host are not the container's to choose.
    if (name !== '' && !/^(fdspan|host|os|telemetry|container|k8s)\./.test(name)) attributes[name] = value;
  }
  return attributes;
}

function podAttributes(pod: PodMetadata | undefined): Record<string, AttributeValue | undefined> {
  if (pod === undefined) return {};
  const { workload } = pod;
  const attributes: Record<string, AttributeValue | undefined> = {
    'service.namespace': pod.namespace,
    'k8s.namespace.name': pod.namespace,
    'k8s.pod.name': pod.name,
    'k8s.pod.uid': pod.uid,
    'k8s.container.name': pod.containerName,
    'k8s.container.restart_count': pod.restartCount,
  };
  if (workload !== undefined && WORKLOAD_KINDS.has(workload.kind)) {
    attributes[`k8s.${workload.kind}.name`] = workload.name;
  }
  return attributes;
}
