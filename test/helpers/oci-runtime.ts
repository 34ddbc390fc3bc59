// The OCI runtimes that tests start containers with, and what they need here.
import { existsSync } from 'node:fs';

export type OciRuntime = 'runc' | 'crun';

const UNIFIED_CONTROLLERS = '/sys/fs/cgroup/unified/cgroup.controllers';

/** Begins a command that is to have a mount namespace of its own, in which crun works. */
export function privateMounts(): string[] {
  // crun takes a hybrid host for an unsupported one as soon as it sees this file, even when all controllers are in v1.
  const hide = existsSync(UNIFIED_CONTROLLERS) ? `mount --bind /dev/null ${UNIFIED_CONTROLLERS} && ` : '';
  return ['unshare', '--mount', 'sh', '-c', `${hide}exec "$@"`, 'sh'];
}

/** Begins a command that starts containers of this runtime. */
export function wrapperFor(runtime: OciRuntime): string[] {
  return runtime === 'crun' && existsSync(UNIFIED_CONTROLLERS) ? privateMounts() : [];
}
