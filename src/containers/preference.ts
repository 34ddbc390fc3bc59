// Which of a runtime's sources knows best: an API that knows the pod goes before one that knows the container alone.
import type { ContainerMetadata } from './runtimes/runtime-source.ts';

/** Sources that know more than others of a runtime's containers, best first; of other runtimes all are alike. */
export const PREFERRED: Readonly<Record<string, readonly string[]>> = {
  docker: ['docker', 'cri', 'docker state'],
  podman: ['podman', 'podman state'],
  containerd: ['cri', 'containerd', 'containerd state'],
  'cri-o': ['cri', 'podman state'],
  lxc: ['lxc state'],
  'systemd-nspawn': ['systemd-nspawn state'],
  runc: ['runc state'],
  crun: ['crun state'],
  // A pod's container, whose path doesn't tell the runtime: state files know less than any API.
  unknown: ['cri', 'docker', 'podman', 'containerd'],
};

/** The source's place among those of the runtime; 0 is the best, and those that aren't named come last. */
export function rankOf(source: string | undefined, runtime: string): number {
  const names = PREFERRED[runtime] ?? [];
  const rank = source === undefined ? -1 : names.indexOf(source);
  return rank === -1 ? names.length : rank;
}

/** Whether news of a container must not replace what a better source told of it. */
export function isWorseTold(news: ContainerMetadata, known: ContainerMetadata | null | undefined): boolean {
  if (known === null || known === undefined || known.runtimeName !== news.runtimeName) return false;
  return rankOf(news.toldBy, news.runtimeName) > rankOf(known.toldBy, known.runtimeName);
}

/** Whether news of a container come from a source that knows more of its runtime than who told of it before. */
export function isBetterTold(
  news: ContainerMetadata,
  known: ContainerMetadata | null,
  runtime: string,
): boolean {
  return known === null || rankOf(news.toldBy, runtime) < rankOf(known.toldBy, runtime);
}

const MANAGERS = ['docker', 'podman', 'containerd', 'cri-o'];

/**
 * What an OCI runtime's own state tells of a container whose group's path names its manager, where the manager didn't answer
 * in time: it is the manager's container, and its id isn't its name.
 */
export function underManager(metadata: ContainerMetadata | null, runtime: string): ContainerMetadata | null {
  if (metadata === null || !MANAGERS.includes(runtime) || MANAGERS.includes(metadata.runtimeName))
    return metadata;
  const { name: _id, ...others } = metadata;
  return { ...others, runtimeName: runtime };
}
