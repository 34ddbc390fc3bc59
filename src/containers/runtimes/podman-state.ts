// Podman without its service, and CRI-O, which keeps its containers in the same kind of storage: the list of
// containers, the bundle's config.json, and podman's database.
import { stat } from 'node:fs/promises';
import { isHexId } from '../cgroup-segment.ts';
import { fieldsOf, known, nameOf, recordOf, recordOfText, type Fields } from './fields.ts';
import { imageMetadata } from './image-name.ts';
import { mergeLabels } from './labels.ts';
import { ociRuntimeOfBinary } from './oci-runtime-name.ts';
import type { ContainerMetadata, RuntimeSource } from './runtime-source.ts';
import { serviceNameOfSpec } from './service-name.ts';
import { readAnnotations } from './state/oci-config.ts';
import { readPodmanSettings } from './state/podman-database.ts';
import { readStateJson, readStateValue, statePath } from './state/state-file.ts';
import { firstKnown, isRootsFolder, stateSource } from './state/state-source.ts';
import { userFoldersOf } from './state/user-folders.ts';
import { untilAborted } from './until-aborted.ts';
import { userOfGroup } from './user-slice.ts';

/** Where one user's containers are stored (storage.conf: `graphroot`, `runroot`). */
export interface PodmanStorage {
  readonly graphRoot: string;
  readonly runRoot: string;
  readonly ownerUid: number;
}

export const ROOT_STORAGE: PodmanStorage = {
  graphRoot: '/var/lib/containers/storage',
  runRoot: '/run/containers/storage',
  ownerUid: 0,
};

/** The storage drivers, the usual one first: the folder's name begins with it. */
const DRIVERS = ['overlay', 'vfs', 'btrfs', 'zfs'];
/** Containers that don't outlive a reboot (`--rm`) are listed apart. */
const LISTS = ['containers.json', 'volatile-containers.json'];
/** Lists of users that are kept parsed. Reason: a few users, each with two lists for two roots; the oldest is forgotten. */
const USERS_LISTS_MAX = 32;

interface StoredContainer {
  readonly name: string | undefined;
  readonly image: unknown;
}

/** Makes the source. `storages` replaces the default ones: root's, and the group's user's. */
export function podmanState(options: { readonly storages?: readonly PodmanStorage[] } = {}): RuntimeSource {
  const lists = new StorageLists();
  const address = (options.storages ?? [ROOT_STORAGE]).map(({ graphRoot }) => graphRoot).join(' ');
  return stateSource('podman state', address, async ({ id, cgroupPath }, signal) => {
    if (!isHexId(id)) return null;
    const user = userOfGroup(cgroupPath);
    const storages = options.storages ?? [...(await userStorage(cgroupPath, signal)), ROOT_STORAGE];
    // A user may name a group by the id of root's container.
    const own = storages.filter(({ ownerUid }) => user === null || ownerUid === user);
    return firstKnown(own, signal, (storage) => findIn(lists, storage, id, signal), isRootsFolder);
  });
}

async function userStorage(cgroupPath: string, signal: AbortSignal): Promise<PodmanStorage[]> {
  const user = await userFoldersOf(cgroupPath, signal);
  if (user === null) return [];
  return [
    {
      graphRoot: `${user.home.path}/.local/share/containers/storage`,
      runRoot: `${user.runtime.path}/containers`,
      ownerUid: user.uid,
    },
  ];
}

async function findIn(
  lists: StorageLists,
  storage: PodmanStorage,
  id: string,
  signal: AbortSignal,
): Promise<ContainerMetadata | null> {
  const { graphRoot, runRoot, ownerUid } = storage;
  for (const driver of DRIVERS) {
    const folders = [`${graphRoot}/${driver}-containers`, `${runRoot}/${driver}-containers`];
    for (const path of folders.flatMap((folder) => LISTS.map((name) => `${folder}/${name}`))) {
      const stored = await lists.find(path, ownerUid, id, signal);
      if (stored === null) continue;
      const config = await readUserdata(folders, ownerUid, id, signal);
      const settings = await readPodmanSettings(storage, id, signal);
      // The bundle is written when the container is first started; until then only the database has its content.
      return metadataOf(id, stored, config ?? fieldsOf(settings?.spec), settings);
    }
  }
  return null;
}

/** The bundle's config.json: podman keeps it with the storage, CRI-O in the run folder too. */
async function readUserdata(
  folders: readonly string[],
  ownerUid: number,
  id: string,
  signal: AbortSignal,
): Promise<Fields | null> {
  return firstKnown(folders, signal, async (folder) => {
    const path = statePath(folder, id, 'userdata', 'config.json');
    return path === null ? null : readStateJson(path, ownerUid, signal);
  });
}

function metadataOf(
  id: string,
  stored: StoredContainer,
  config: Fields,
  settings: Fields | null,
): ContainerMetadata {
  const { manager, metadata } = readAnnotations(config.annotations);
  return known<ContainerMetadata>({
    id,
    runtimeName: manager === 'cri-o' ? 'cri-o' : 'podman',
    ociRuntime: ociRuntimeOfBinary(settings?.runtime),
    name: stored.name,
    ...imageMetadata(settings?.rootfsImageName ?? stored.image),
    ...metadata,
    // Without podman's database the annotations are all that is known; for CRI-O they hold the labels.
    labels: settings === null ? metadata.labels : mergeLabels([settings.labels], config.annotations),
    serviceName: serviceNameOfSpec(config),
  });
}

interface ParsedList {
  readonly version: string;
  readonly containers: StoredList;
}

/**
 * The lists of containers, parsed once for each version of the file: a look-up mustn't cost a parse of thousands. Root's are
 * kept apart, so that no user's can drive them out.
 */
class StorageLists {
  readonly #rootsLists = new Map<string, ParsedList>();
  readonly #usersLists = new Map<string, ParsedList>();

  async find(
    path: string,
    ownerUid: number,
    id: string,
    signal: AbortSignal,
  ): Promise<StoredContainer | null> {
    const found = await untilAborted(stat(path, { bigint: true }), signal).catch(() => null);
    signal.throwIfAborted();
    if (found === null) return null;
    const version = `${found.ino}:${found.size}:${found.mtimeNs}`;
    const lists = ownerUid === 0 ? this.#rootsLists : this.#usersLists;
    const cached = lists.get(path);
    if (cached?.version === version) return cached.containers.get(id) ?? null;
    const list = await readStateValue(Buffer.from(path), ownerUid, signal);
    if (list === null) return null;
    const containers = parseList(list.parsed);
    lists.delete(path);
    lists.set(path, { version, containers });
    if (this.#usersLists.size > USERS_LISTS_MAX) {
      const [oldest] = this.#usersLists.keys();
      this.#usersLists.delete(oldest);
    }
    return containers.get(id) ?? null;
  }
}

type StoredList = ReadonlyMap<string, StoredContainer>;

function parseList(list: unknown): StoredList {
  const containers = new Map<string, StoredContainer>();
  for (const entry of Array.isArray(list) ? list : []) {
    const record = recordOf(entry);
    const id = nameOf(record?.id);
    if (record === null || id === undefined) continue;
    const names: unknown[] = Array.isArray(record.names) ? record.names : [];
    const metadata = recordOfText(record.metadata) ?? {};
    const name = nameOf(names[0]) ?? nameOf(metadata.name);
    containers.set(id, { name, image: nameOf(metadata['image-name']) });
  }
  return containers;
}
