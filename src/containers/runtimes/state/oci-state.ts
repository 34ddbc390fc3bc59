// What the state of runc and crun has in common: a folder for each container below a root that the
// manager above chose, and the control group in it, which proves that the state is this container's.
import { textOfBytes } from '../../byte-text.ts';
import { isIdentifier } from '../../cgroup-segment.ts';
import { known } from '../fields.ts';
import type { ContainerMetadata, ContainerQuestion } from '../runtime-source.ts';
import { userOfGroup } from '../user-slice.ts';
import { readAnnotations } from './oci-config.ts';

/** Namespaces of containerd's own clients. */
const CONTAINERD_NAMESPACES = ['k8s.io', 'moby', 'default'];

/** The namespaces that a container of containerd may be in: the one its group is named by, then the usual ones. */
export function containerdNamespaces(question: ContainerQuestion): string[] {
  const [, namespace = '', id] = question.cgroupPath.split('/', 3);
  const isNamed = id === question.id && isIdentifier(namespace);
  return [...new Set([...(isNamed ? [namespace] : []), ...CONTAINERD_NAMESPACES])];
}

/**
 * Whether one of the state's control groups is the one asked about, or lies in it. Ids outside of managers are free text,
 * and a user may name a group after somebody else's container. State without groups tells nothing against it, save root's
 * of a user's group.
 */
export function isOfGroup(groups: readonly unknown[], cgroupPath: string, ownerUid: number): boolean {
  const paths = groups.filter((group) => typeof group === 'string' && group !== '') as string[];
  if (paths.length === 0) return ownerUid !== 0 || userOfGroup(cgroupPath) === null;
  // A state's group may begin with the mount point, and end in a group below (crun's `container`).
  return paths.some((path) => `${Buffer.from(path).toString('latin1')}/`.includes(`${cgroupPath}/`));
}

export interface OciState {
  readonly id: string;
  /** The OCI runtime, which is the runtime's name too where nobody is above it. */
  readonly runtime: 'runc' | 'crun';
  /** Of the root: who keeps its OCI runtime's state there; undefined for the runtime's own. */
  readonly manager: string | undefined;
  readonly annotations: unknown;
  readonly serviceName: string | undefined;
}

/** The metadata of a container of which the OCI runtime's state is all that is known. */
export function metadataOfState(state: OciState): ContainerMetadata {
  const { manager, metadata } = readAnnotations(state.annotations);
  const runtimeName = state.manager ?? manager ?? state.runtime;
  return known<ContainerMetadata>({
    id: state.id,
    runtimeName,
    ociRuntime: state.runtime,
    // Without a manager the id is the name that a person chose.
    name: runtimeName === state.runtime ? textOfBytes(state.id) : undefined,
    ...metadata,
    serviceName: state.serviceName,
  });
}
