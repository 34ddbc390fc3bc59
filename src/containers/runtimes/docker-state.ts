// Docker without its API: `DATA/containers/ID/config.v2.json`, which dockerd writes when it creates a container.
import { readdir } from 'node:fs/promises';
import { isHexId } from '../cgroup-segment.ts';
import { DOCKER } from './engine/docker.ts';
import { nameOf } from './fields.ts';
import type { ContainerMetadata, RuntimeSource } from './runtime-source.ts';
import { readStateJson, statePath, type StateFolder } from './state/state-file.ts';
import {
  addressOf,
  firstKnown,
  isRootsFolder,
  foldersFor,
  stateSource,
  type FolderOptions,
} from './state/state-source.ts';
import { untilAborted } from './until-aborted.ts';

export const DOCKER_DATA = '/var/lib/docker';
const SNAP_DATA = '/var/snap/docker/common/var-lib-docker';
const DAEMON_CONFIG = Buffer.from('/etc/docker/daemon.json');

/** Reason: dockerd makes one such folder for each `userns-remap` that it was ever started with. */
const REMAPPED_MAX = 8;

/**
 * Makes the source. `folders` replaces the default ones: dockerd's data root as daemon.json and the packages have
 * it, and the root of a user's rootless docker.
 */
export function dockerState(options: FolderOptions = {}): RuntimeSource {
  const address = addressOf(options, DOCKER_DATA);
  return stateSource('docker state', address, async (question, signal) => {
    if (!isHexId(question.id)) return null;
    const configured = options.folders === undefined ? await configuredData(signal) : [];
    const folders = await foldersFor(question, signal, {
      given: options.folders,
      ofRoot: [...configured, DOCKER_DATA, SNAP_DATA],
      ofUser: (user) => [`${user.home.path}/.local/share/docker`],
    });
    const found = await firstKnown(
      folders,
      signal,
      (folder) => findIn(folder, question.id, signal),
      isRootsFolder,
    );
    if (found !== null) return found;
    const remapped = await remappedFolders(folders, signal);
    return firstKnown(remapped, signal, (folder) => findIn(folder, question.id, signal), isRootsFolder);
  });
}

/** The data root that daemon.json sets. A file that can't be read sets none: dockerd wouldn't have started with it. */
async function configuredData(signal: AbortSignal): Promise<string[]> {
  const config = await readStateJson(DAEMON_CONFIG, 0, signal).catch(() => null);
  signal.throwIfAborted();
  const path = nameOf(config?.['data-root']);
  return path?.startsWith('/') === true && !path.includes('\0') ? [path] : [];
}

/** With `userns-remap` all is kept below `UID.GID` of the data root. */
async function remappedFolders(folders: readonly StateFolder[], signal: AbortSignal): Promise<StateFolder[]> {
  const found: StateFolder[] = [];
  for (const { path, ownerUid } of folders) {
    const names = await untilAborted(readdir(path), signal).catch(() => []);
    signal.throwIfAborted();
    for (const name of names.filter((entry) => /^[0-9]{1,10}\.[0-9]{1,10}$/.test(entry))) {
      if (found.length < REMAPPED_MAX) found.push({ path: `${path}/${name}`, ownerUid });
    }
  }
  return found;
}

async function findIn(
  { path, ownerUid }: StateFolder,
  id: string,
  signal: AbortSignal,
): Promise<ContainerMetadata | null> {
  const folder = `${path}/containers`;
  const configPath = statePath(folder, id, 'config.v2.json');
  const hostPath = statePath(folder, id, 'hostconfig.json');
  if (configPath === null || hostPath === null) return null;
  const state = await readStateJson(configPath, ownerUid, signal);
  if (state === null) return null;
  const host = await readStateJson(hostPath, ownerUid, signal).catch(() => null);
  signal.throwIfAborted();
  return {
    id,
    runtimeName: DOCKER.runtimeName,
    // The API answers with the same objects, the host's part within.
    ...DOCKER.read({ ...state, HostConfig: host }),
  };
}
