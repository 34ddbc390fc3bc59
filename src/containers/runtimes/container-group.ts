// The control group that a container's record names, as containerd keeps it in the container's OCI spec. It tells
// containers of one id in several namespaces apart.
import { posix } from 'node:path';
import { recordOf } from './fields.ts';
import type { ContainerQuestion } from './runtime-source.ts';

/** Reason: the kernel's longest path; it is kept with each container. */
const PATH_BYTES_MAX = 4096;

/**
 * Returns the group of an OCI spec (latin1); undefined where it names none or one that can't be, and for the systemd
 * driver's `SLICE:PREFIX:NAME`, which is no path.
 */
export function groupPathOfSpec(spec: unknown): string | undefined {
  const path = recordOf(recordOf(spec)?.linux)?.cgroupsPath;
  if (typeof path !== 'string' || !path.startsWith('/') || path.length > PATH_BYTES_MAX) return undefined;
  return posix.normalize(Buffer.from(path).toString('latin1')).replace(/(?<=.)\/$/, '');
}

/** Whether the group that is asked about is this one; a runtime in a container doesn't see the groups around it. */
export function isGroupOfContainer(
  groupPath: string,
  { cgroupPath, isNested }: Pick<ContainerQuestion, 'cgroupPath' | 'isNested'>,
): boolean {
  return cgroupPath === groupPath || (isNested === true && cgroupPath.endsWith(groupPath));
}
