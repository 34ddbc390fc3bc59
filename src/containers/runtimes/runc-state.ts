// runc's own state, `ROOT/ID/state.json`: for bare containers, and for those of a manager that can't be asked.
import { recordOf, type Fields } from './fields.ts';
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from './runtime-source.ts';
import { serviceNameOf, serviceNameOfSpec } from './service-name.ts';
import { containerdNamespaces, isOfGroup, metadataOfState } from './state/oci-state.ts';
import { readStateJson, statePath, type StateFolder } from './state/state-file.ts';
import {
  addressOf,
  firstKnown,
  isRootsFolder,
  foldersFor,
  stateSource,
  type FolderOptions,
} from './state/state-source.ts';

/** runc's default, which podman and CRI-O use too. */
export const RUNC_ROOT = '/run/runc';
const DOCKER_ROOT = '/run/docker/runtime-runc/moby';
const CONTAINERD_ROOT = '/run/containerd/runc';

/** Makes the source. `folders` replaces the default roots: runc's, docker's, containerd's, and a user's own. */
export function runcState(options: FolderOptions = {}): RuntimeSource {
  const address = addressOf(options, RUNC_ROOT);
  return stateSource('runc state', address, async (question, signal) => {
    const namespaces = containerdNamespaces(question).map((name) => `${CONTAINERD_ROOT}/${name}`);
    const folders = await foldersFor(question, signal, {
      given: options.folders,
      ofRoot: [RUNC_ROOT, DOCKER_ROOT, ...namespaces],
      ofUser: (user) => [`${user.runtime.path}/runc`],
      namesGroup: true,
    });
    return firstKnown(folders, signal, (folder) => findIn(folder, question, signal), isRootsFolder);
  });
}

function managerOf(folder: StateFolder): string | undefined {
  if (folder.path === DOCKER_ROOT || folder.path === `${CONTAINERD_ROOT}/moby`) return 'docker';
  return folder.path.startsWith(`${CONTAINERD_ROOT}/`) ? 'containerd' : undefined;
}

async function findIn(
  folder: StateFolder,
  { id, cgroupPath }: ContainerQuestion,
  signal: AbortSignal,
): Promise<ContainerMetadata | null> {
  const path = statePath(folder.path, id, 'state.json');
  const state = path === null ? null : await readStateJson(path, folder.ownerUid, signal);
  if (state === null) return null;
  const groups = Object.values(recordOf(state.cgroup_paths) ?? {});
  if (!isOfGroup(groups, cgroupPath, folder.ownerUid)) return null;
  const config = recordOf(state.config) ?? {};
  const { annotations, bundle } = readLabels(config.labels);
  return metadataOfState({
    id,
    runtime: 'runc',
    manager: managerOf(folder),
    annotations,
    serviceName: serviceNameOf(config.env) ?? (await serviceNameOfBundle(bundle, folder, signal)),
  });
}

/** runc keeps annotations as `KEY=VALUE`, and behind the last of them the bundle's folder under a key of its own. */
function readLabels(labels: unknown): {
  readonly annotations: Fields;
  readonly bundle: string | undefined;
} {
  const texts = Array.isArray(labels) ? labels.filter((label) => typeof label === 'string') : [];
  const last = texts.at(-1);
  const bundle = last?.startsWith('bundle=') === true ? last.slice('bundle='.length) : undefined;
  const pairs = (bundle === undefined ? texts : texts.slice(0, -1)).map((text): [string, string] => {
    const equals = text.indexOf('=');
    return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
  });
  return { annotations: Object.fromEntries(pairs), bundle };
}

/** Older versions keep no environment in the state; the bundle may be gone, or be somebody else's: then not known. */
async function serviceNameOfBundle(
  bundle: string | undefined,
  { ownerUid }: StateFolder,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (bundle?.startsWith('/') !== true || bundle.includes('\0')) return undefined;
  try {
    const config = await readStateJson(Buffer.from(`${bundle}/config.json`), ownerUid, signal);
    return config === null ? undefined : serviceNameOfSpec(config);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
