// The attributes of one container's OTLP Resource.
import type { Attributes, AttributeValue } from '../model/attributes.ts';
import { textOfBytes } from './byte-text.ts';
import type { ContainerPath } from './cgroup-path.ts';
import { isHexId } from './cgroup-segment.ts';
import {
  annotatedAttributes,
  labelAttributes,
  metadataAttributes,
  serviceNameOf,
} from './metadata-attributes.ts';
import type { ContainerMetadata } from './runtimes/runtime-source.ts';
import type { CgroupVersion } from './scope.ts';

/** In the order of the record's NS_* indices. */
const NAMESPACE_ATTRIBUTES = [
  'fdspan.ns.mnt',
  'fdspan.ns.pid',
  'fdspan.ns.uts',
  'fdspan.ns.net',
  'fdspan.ns.ipc',
  'fdspan.ns.user',
  'fdspan.ns.cgroup',
] as const;

/** Reason: what `docker ps` and `podman ps` print, and people search by. */
const SHORT_ID_CHARS = 12;

/** Longest id taken from a path. Reason: a directory's name has at most 255 bytes. */
const ID_BYTES_MAX = 255;

export interface ContainerDescription {
  readonly path: Pick<ContainerPath, 'containerId' | 'runtime' | 'podUid' | 'parentId'>;
  /** Id of the container's own group in its hierarchy; null = not known. */
  readonly cgroupId: bigint | null;
  /** Path of that group from the hierarchy's root (latin1); '' = not known. */
  readonly cgroupPath: string;
  readonly cgroupVersion: CgroupVersion;
  /** Inode numbers in the order of the record's NS_* indices; 0 = not known. */
  readonly namespaces: Uint32Array;
  /** UTS name of the container (latin1); '' = not known. */
  readonly hostname: string;
  /** What its runtime told. */
  readonly metadata: ContainerMetadata | null;
}

export interface ResourceSettings {
  readonly hostAttributes: Attributes;
  /** From the configuration's `resource`; beats every attribute found here. */
  readonly extraAttributes: Attributes;
  readonly distroVersion: string;
  /** Whether a label of this key is sent. */
  readonly isLabelWanted: (key: string) => boolean;
}

/** Returns the short id of hex ids, the whole id of others. */
export function shortIdOf(containerId: string): string {
  return isHexId(containerId) ? containerId.slice(0, SHORT_ID_CHARS) : textOfBytes(containerId, ID_BYTES_MAX);
}

/** Builds the attributes of a container's resource; what isn't known is left out. */
export function containerAttributes(container: ContainerDescription, settings: ResourceSettings): Attributes {
  const { containerId, runtime, podUid, parentId } = container.path;
  const { metadata } = container;
  const id = textOfBytes(containerId, ID_BYTES_MAX);
  const attributes: Record<string, AttributeValue> = {
    'service.name': serviceNameOf(metadata) ?? shortIdOf(containerId),
    'service.instance.id': id,
    'container.id': id,
  };
  const runtimeName = metadata?.runtimeName ?? runtime;
  if (runtimeName !== 'unknown') attributes['container.runtime.name'] = runtimeName;
  if (podUid !== null) attributes['k8s.pod.uid'] = podUid;
  if (parentId !== null) attributes['fdspan.container.parent.id'] = textOfBytes(parentId, ID_BYTES_MAX);
  if (container.cgroupId !== null) attributes['fdspan.cgroup.id'] = container.cgroupId.toString();
  if (container.cgroupPath !== '') {
    attributes['fdspan.cgroup.path'] = textOfBytes(container.cgroupPath);
    attributes['fdspan.cgroup.version'] = container.cgroupVersion;
  }
  NAMESPACE_ATTRIBUTES.forEach((name, index) => {
    if (container.namespaces[index] > 0) attributes[name] = container.namespaces[index];
  });
  if (container.hostname !== '') attributes['fdspan.container.hostname'] = textOfBytes(container.hostname);
  const known = {
    ...(metadata === null ? {} : annotatedAttributes(metadata)),
    ...attributes,
    ...(metadata === null ? {} : metadataAttributes(metadata)),
    ...settings.hostAttributes,
    'telemetry.distro.name': 'fdspan',
    'telemetry.distro.version': settings.distroVersion,
    ...settings.extraAttributes,
  };
  // Last: a resource is bounded, and a container may choose any number of labels.
  return metadata === null
    ? known
    : { ...known, ...labelAttributes(metadata, settings.isLabelWanted), ...settings.extraAttributes };
}
