// crun's own state, `ROOT/ID/status` and the copy of the bundle's config.json beside it.
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from './runtime-source.ts';
import { serviceNameOfSpec } from './service-name.ts';
import { isOfGroup, metadataOfState } from './state/oci-state.ts';
import { readStateJson, statePath, type StateFolder } from './state/state-file.ts';
import {
  addressOf,
  firstKnown,
  isRootsFolder,
  foldersFor,
  stateSource,
  type FolderOptions,
} from './state/state-source.ts';
import { userOfGroup } from './user-slice.ts';

/** crun's default, which podman and CRI-O use too. */
export const CRUN_ROOT = '/run/crun';
const DOCKER_ROOT = '/run/docker/runtime-crun/moby';

/** Makes the source. `folders` replaces the default roots: crun's, docker's, and a user's own. */
export function crunState(options: FolderOptions = {}): RuntimeSource {
  const address = addressOf(options, CRUN_ROOT);
  return stateSource('crun state', address, async (question, signal) => {
    const folders = await foldersFor(question, signal, {
      given: options.folders,
      ofRoot: [CRUN_ROOT, DOCKER_ROOT],
      ofUser: (user) => [`${user.runtime.path}/crun`],
      namesGroup: true,
    });
    return firstKnown(folders, signal, (folder) => findIn(folder, question, signal), isRootsFolder);
  });
}

async function findIn(
  folder: StateFolder,
  { id, cgroupPath }: ContainerQuestion,
  signal: AbortSignal,
): Promise<ContainerMetadata | null> {
  const statusPath = statePath(folder.path, id, 'status');
  const configPath = statePath(folder.path, id, 'config.json');
  if (statusPath === null || configPath === null) return null;
  const status = await readStateJson(statusPath, folder.ownerUid, signal);
  if (status === null) return null;
  const isNamed = isOfGroup([status['cgroup-path']], cgroupPath, folder.ownerUid);
  if (!isNamed && !isScope(status.scope, cgroupPath)) return null;
  const config = (await readStateJson(configPath, folder.ownerUid, signal)) ?? {};
  return metadataOfState({
    id,
    runtime: 'crun',
    manager: folder.path === DOCKER_ROOT ? 'docker' : undefined,
    annotations: config.annotations,
    serviceName: serviceNameOfSpec(config),
  });
}

/**
 * Whether the group is the scope that systemd made for the container. Where systemd leaves v1's controllers alone, the
 * state's group is another, shared one. Only root's scopes: a user may name one of theirs after it.
 */
function isScope(scope: unknown, cgroupPath: string): boolean {
  if (typeof scope !== 'string' || scope === '' || userOfGroup(cgroupPath) !== null) return false;
  return cgroupPath.endsWith(`/${Buffer.from(scope).toString('latin1')}`);
}
