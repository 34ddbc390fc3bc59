// The OCI runtimes that tests start containers with, and what they need here.
import { existsSync } from 'node:fs';

export type OciRuntime = 'runc' | 'crun';

const UNIFIED_CONTROLLERS = '/sys/fs/cgroup/unified/cgroup.controllers';

/** The machine as it is, or one that has control groups of v1 alone. */
export type GroupsOfHost = 'machine' | 'v1';

/** Begins a command that is to see only v1's control groups: v2's aren't mounted there. */
function v1Mounts(): string[] {
  const command = 'umount -a -t cgroup2 && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', command, 'sh'];
}

/** Begins a command that is to have a mount namespace of its own, in which crun works. */
export function privateMounts(): string[] {
  // crun takes a hybrid host for an unsupported one as soon as it sees this file, even when all controllers are in v1.
  const hide = existsSync(UNIFIED_CONTROLLERS) ? `mount --bind /dev/null ${UNIFIED_CONTROLLERS} && ` : '';
  return ['unshare', '--mount', 'sh', '-c', `${hide}exec "$@"`, 'sh'];
}

/** Begins a command that starts containers of this runtime; null: whatever the runtime is. */
export function wrapperFor(runtime: OciRuntime | null, groups: GroupsOfHost = 'machine'): string[] {
  if (groups === 'v1') return v1Mounts();
  return runtime === 'crun' && existsSync(UNIFIED_CONTROLLERS) ? privateMounts() : [];
}
