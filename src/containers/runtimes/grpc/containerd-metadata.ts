// What a containerd container's record tells: its labels, image and runtime, its OCI spec, and the extensions of
// containerd's Kubernetes part. Whoever made the container chose nearly all of it.
import { fieldsOf, fieldsOfJson, nameOf, ownField, type Fields } from '../message-fields.ts';
import { imageMetadata } from '../image-name.ts';
import { labelsInPod, podIdentityOfLabels, podMetadata } from '../pod-labels.ts';
import { boundLabels, type ContainerMetadata } from '../runtime-source.ts';

/** Docker's namespace: its containers' names, and which docker it is, are docker's to tell. */
export const DOCKER_NAMESPACE = 'moby';

const SERVICE_NAME_VARIABLE = 'OTEL_SERVICE_NAME=';

/** The shim: by name (`io.containerd.runc.v2`), or as the path of its binary (`…/containerd-shim-runc-v2`). */
const SHIM = /^io\.containerd\.([A-Za-z0-9_-]+)\.v\d+$|(?:^|\/)containerd-shim-([A-Za-z0-9_-]+)-v\d+$/;

export interface ContainerdRecord {
  readonly namespace: string;
  /** A decoded `containerd.services.containers.v1.Container`. */
  readonly container: Fields;
  /** The runc options of the container, decoded; no fields where there are none. */
  readonly runcOptions: Fields;
  /** The record of the pod's sandbox; no fields where the container is in none, or is it. */
  readonly sandbox: Fields;
  readonly version: string | null;
}

/** Returns the metadata of a container; null where the record carries no id. */
export function containerdMetadata(record: ContainerdRecord): ContainerMetadata | null {
  const { container, namespace, version } = record;
  const id = nameOf(container['id']);
  if (id === null) return null;
  const isDockers = namespace === DOCKER_NAMESPACE;
  const pod = podPart(record);
  const name = pod.pod?.containerName ?? nameOf(ownField(container['labels'], 'nerdctl/name'));
  const ociRuntime = ociRuntimeOf(fieldsOf(container['runtime'])['name'], record.runcOptions['binary_name']);
  const serviceName = serviceNameOf(specOf(container));
  return {
    id,
    runtimeName: isDockers ? 'docker' : 'containerd',
    ...(version === null || isDockers ? {} : { runtimeVersion: version }),
    ...(ociRuntime === null ? {} : { ociRuntime }),
    ...(name === null || isDockers ? {} : { name }),
    ...imageMetadata(container['image']),
    ...pod,
    ...(serviceName === null ? {} : { serviceName }),
  };
}

/** Returns the id of the pod's sandbox that a container belongs to; null for other containers and sandboxes. */
export function sandboxIdOf(container: Fields): string | null {
  if (ownField(container['labels'], 'io.cri-containerd.kind') !== 'container') return null;
  return nameOf(criExtension(container, 'container')['SandboxID']);
}

/** Returns the OCI runtime's name; null where the shim tells none. */
export function ociRuntimeOf(shim: unknown, binary: unknown): string | null {
  const path = nameOf(binary);
  if (path !== null) return nameOf(path.slice(path.lastIndexOf('/') + 1));
  const match = SHIM.exec(nameOf(shim) ?? '');
  return match === null ? null : (match[1] ?? match[2]);
}

/** Returns the value of OTEL_SERVICE_NAME in the spec's environment, the last of several; null where it is unset or empty. */
export function serviceNameOf(spec: Fields): string | null {
  const env = fieldsOf(spec['process'])['env'];
  if (!Array.isArray(env)) return null;
  const entry: unknown = env.findLast(
    (text) => typeof text === 'string' && text.startsWith(SERVICE_NAME_VARIABLE),
  );
  return typeof entry === 'string' ? nameOf(entry.slice(SERVICE_NAME_VARIABLE.length)) : null;
}

function specOf(container: Fields): Fields {
  const bytes = fieldsOf(container['spec'])['value'];
  return Buffer.isBuffer(bytes) ? fieldsOfJson(bytes.toString('utf8')) : {};
}

/** The part of a container's record that containerd's CRI keeps for itself, as JSON. */
function criExtension(container: Fields, kind: 'container' | 'sandbox'): Fields {
  const extension = fieldsOf(ownField(container['extensions'], `io.cri-containerd.${kind}.metadata`));
  const bytes = extension['value'];
  return Buffer.isBuffer(bytes) ? fieldsOf(fieldsOfJson(bytes.toString('utf8'))['Metadata']) : {};
}

function podPart(record: ContainerdRecord): Pick<ContainerMetadata, 'labels' | 'pod'> {
  const { container, sandbox } = record;
  const labels = container['labels'];
  const isSandbox = ownField(labels, 'io.cri-containerd.kind') === 'sandbox';
  const podRecord = isSandbox ? container : sandbox;
  const podLabels = boundLabels(podRecord['labels']);
  const podConfig = fieldsOf(criExtension(podRecord, 'sandbox')['Config']);
  const config = fieldsOf(criExtension(container, 'container')['Config']);
  const identity = { ...podIdentityOfLabels(labels), restartCount: attemptOf(config['metadata']) };
  const pod = podMetadata(identity, podLabels);
  const known = labelsInPod(labels, podLabels, podConfig['annotations']);
  return { ...(known.size === 0 ? {} : { labels: known }), ...(pod === null ? {} : { pod }) };
}

/** Go's JSON leaves a zero out: it counts as one only where the object around it is there. */
function attemptOf(metadata: unknown): unknown {
  return metadata === undefined ? undefined : (fieldsOf(metadata)['attempt'] ?? 0);
}
