// What a containerd container's record tells: its labels, image and runtime, its OCI spec, and the extensions of
// containerd's Kubernetes part. Whoever made the container chose nearly all of it.
import { isHexId } from '../../cgroup-segment.ts';
import { groupPathOfSpec } from '../container-group.ts';
import { fieldsOf, known, nameOf, recordOfText, type Fields } from '../fields.ts';
import { imageMetadata } from '../image-name.ts';
import { mergeLabels } from '../labels.ts';
import { ociRuntimeOfBinary, ociRuntimeOfShim } from '../oci-runtime-name.ts';
import { podIdentityOf, podOf } from '../pod.ts';
import { boundLabels, type ContainerMetadata, type PodMetadata } from '../runtime-source.ts';
import { serviceNameOfSpec } from '../service-name.ts';

/** Docker's namespace: its containers' names, and which docker it is, are docker's to tell. */
export const DOCKER_NAMESPACE = 'moby';

export interface ContainerdRecord {
  readonly namespace: string;
  /** A decoded `containerd.services.containers.v1.Container`. */
  readonly container: Fields;
  /** The runc options of the container, decoded; no fields where there are none. */
  readonly runcOptions: Fields;
  /** The record of the pod's sandbox; no fields where the container is in none, or is it. */
  readonly sandbox: Fields;
  readonly version: string | undefined;
}

/** Returns the metadata of a container; null where the record carries no id. */
export function containerdMetadata(record: ContainerdRecord): ContainerMetadata | null {
  const { container, namespace, version } = record;
  const id = nameOf(container.id);
  if (id === undefined) return null;
  const isDockers = namespace === DOCKER_NAMESPACE;
  const { labels, pod } = podPart(record);
  const spec = jsonOf(container.spec);
  const name = pod?.containerName ?? nameOf(fieldsOf(container.labels)['nerdctl/name']);
  return known<ContainerMetadata>({
    id,
    runtimeName: isDockers ? 'docker' : 'containerd',
    runtimeVersion: isDockers ? undefined : version,
    ociRuntime: ociRuntimeOf(fieldsOf(container.runtime).name, record.runcOptions.binary_name),
    name: isDockers ? undefined : name,
    ...imageMetadata(container.image),
    labels,
    pod,
    serviceName: serviceNameOfSpec(spec),
    groupPath: isHexId(id) ? undefined : groupPathOfSpec(spec),
  });
}

/** Returns the id of the pod's sandbox that a container belongs to; undefined for other containers and sandboxes. */
export function sandboxIdOf(container: Fields): string | undefined {
  if (fieldsOf(container.labels)['io.cri-containerd.kind'] !== 'container') return undefined;
  return nameOf(criExtension(container, 'container').SandboxID);
}

/** Returns the OCI runtime's name, by its binary where the shim was told of one, else by the shim. */
export function ociRuntimeOf(shim: unknown, binary: unknown): string | undefined {
  return nameOf(binary) === undefined ? ociRuntimeOfShim(shim) : ociRuntimeOfBinary(binary);
}

/** Reads a field of the type `Any` that holds JSON. */
function jsonOf(any: unknown): Fields {
  const { value } = fieldsOf(any);
  return fieldsOf(recordOfText(Buffer.isBuffer(value) ? value.toString('utf8') : undefined));
}

/** The part of a container's record that containerd's CRI keeps for itself, as JSON. */
function criExtension(container: Fields, kind: 'container' | 'sandbox'): Fields {
  const extension = fieldsOf(container.extensions)[`io.cri-containerd.${kind}.metadata`];
  return fieldsOf(jsonOf(extension).Metadata);
}

interface PodPart {
  readonly labels: ReadonlyMap<string, string>;
  readonly pod: PodMetadata | undefined;
}

function podPart({ container, sandbox }: ContainerdRecord): PodPart {
  const isSandbox = fieldsOf(container.labels)['io.cri-containerd.kind'] === 'sandbox';
  const podRecord = isSandbox ? container : sandbox;
  const podConfig = fieldsOf(criExtension(podRecord, 'sandbox').Config);
  const config = fieldsOf(criExtension(container, 'container').Config);
  const identity = { ...podIdentityOf(container.labels), restartCount: attemptOf(config.metadata) };
  const pod = podOf(identity, boundLabels(podRecord.labels));
  return { labels: mergeLabels([container.labels, podRecord.labels], podConfig.annotations), pod };
}

/** Go's JSON leaves a zero out: it counts as one only where the object around it is there. */
function attemptOf(metadata: unknown): unknown {
  return metadata === undefined ? undefined : (fieldsOf(metadata).attempt ?? 0);
}
