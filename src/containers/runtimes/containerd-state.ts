// containerd without its gRPC socket: the bundle of a task in the folder of its shim. It has the annotations,
// which for pods tell almost all; containerd's labels are in a database that only containerd can read.
import { CONTAINERD_STATE_FOLDER, TASK_FOLDER } from '../containerd-tasks.ts';
import { known, nameOf, recordOf } from './fields.ts';
import { ociRuntimeOfBinary, ociRuntimeOfShim } from './oci-runtime-name.ts';
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from './runtime-source.ts';
import { serviceNameOfSpec } from './service-name.ts';
import { readAnnotations } from './state/oci-config.ts';
import { containerdNamespaces, isOfGroup } from './state/oci-state.ts';
import { readStateFile, readStateJson, statePath, type StateFolder } from './state/state-file.ts';
import { addressOf, firstKnown, rootFolders, stateSource, type FolderOptions } from './state/state-source.ts';

/** containerd's own, the one that dockerd starts, and those of k3s, k0s and MicroK8s. */
export const CONTAINERD_STATE_FOLDERS: readonly string[] = [
  CONTAINERD_STATE_FOLDER,
  '/run/docker/containerd/daemon',
  '/run/k3s/containerd',
  '/run/k0s/containerd',
  '/var/snap/microk8s/common/run/containerd',
];

/** Reason: the path of a binary. */
const SHIM_BYTES_MAX = 4096;

/** Makes the source. `folders` replaces {@link CONTAINERD_STATE_FOLDERS}; each is a containerd's `state`. */
export function containerdState(options: FolderOptions = {}): RuntimeSource {
  const folders = options.folders ?? rootFolders(CONTAINERD_STATE_FOLDERS);
  return stateSource(
    'containerd state',
    addressOf({ folders }, CONTAINERD_STATE_FOLDER),
    async (question, signal) => {
      const tasks = containerdNamespaces(question).flatMap((namespace) =>
        folders.map((folder) => ({ folder, namespace })),
      );
      return firstKnown(tasks, signal, (task) => findTask(task, question, signal));
    },
  );
}

interface TaskFolder {
  readonly folder: StateFolder;
  readonly namespace: string;
}

async function findTask(
  { folder, namespace }: TaskFolder,
  { id, cgroupPath }: ContainerQuestion,
  signal: AbortSignal,
): Promise<ContainerMetadata | null> {
  const pathOf = (name: string): Buffer | null =>
    statePath(`${folder.path}/${TASK_FOLDER}`, namespace, id, name);
  const configPath = pathOf('config.json');
  const config = configPath === null ? null : await readStateJson(configPath, folder.ownerUid, signal);
  if (config === null) return null;
  const group = recordOf(config.linux)?.cgroupsPath;
  // `SLICE:PREFIX:NAME` is the systemd driver's, whose group's name has the id in it.
  const isPath = typeof group === 'string' && group.startsWith('/');
  if (!isOfGroup(isPath ? [group] : [], cgroupPath, folder.ownerUid)) return null;
  return known<ContainerMetadata>({
    id,
    runtimeName: namespace === 'moby' ? 'docker' : 'containerd',
    ociRuntime: await ociRuntimeOf(pathOf, folder.ownerUid, signal),
    ...readAnnotations(config.annotations).metadata,
    serviceName: serviceNameOfSpec(config),
  });
}

/** The shim's options name the binary where it isn't the default of the shim: `containerd-shim-runc-v2`. */
async function ociRuntimeOf(
  pathOf: (name: string) => Buffer | null,
  ownerUid: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [optionsPath, shimPath] = [pathOf('options.json'), pathOf('shim-binary-path')];
  if (optionsPath === null || shimPath === null) return undefined;
  try {
    const options = await readStateJson(optionsPath, ownerUid, signal);
    const binary = nameOf(options?.binary_name) ?? nameOf(options?.BinaryName);
    if (binary !== undefined) return ociRuntimeOfBinary(binary);
    const shim = await readStateFile(shimPath, ownerUid, signal, SHIM_BYTES_MAX);
    return ociRuntimeOfShim(shim?.toString().trim());
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
