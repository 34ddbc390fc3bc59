// Proof for a group that only looks like containerd's `/NAMESPACE/ID`: the task's own folder.
import { isThere } from './is-there.ts';

/** Where containerd's shim keeps `NAMESPACE/ID` while the task lives (config.toml: `state`). */
export const CONTAINERD_STATE_FOLDER = '/run/containerd';

/** Of the state folder: the folders of tasks, by namespace and id. */
export const TASK_FOLDER = 'io.containerd.runtime.v2.task';

/**
 * Returns whether containerd runs a task of this namespace and id. One `stat` on a tmpfs; both names
 * must have passed `isIdentifier`, which leaves no way out of the folder.
 */
export function hasContainerdTask(
  namespace: string,
  id: string,
  stateFolder: string = CONTAINERD_STATE_FOLDER,
): boolean {
  return isThere(`${stateFolder}/${TASK_FOLDER}/${namespace}/${id}`);
}
