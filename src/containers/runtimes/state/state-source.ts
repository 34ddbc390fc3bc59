// A runtime that is asked by reading its state files: no events, nothing kept open between look-ups.
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from '../runtime-source.ts';
import { userOfGroup } from '../user-slice.ts';
import { userFoldersOf, type UserFolders } from './user-folders.ts';
import type { StateFolder } from './state-file.ts';

export type LookUp = (question: ContainerQuestion, signal: AbortSignal) => Promise<ContainerMetadata | null>;

/** Makes a source of a look-up. A folder that isn't there is a runtime without containers: null, no rejection. */
export function stateSource(name: string, address: string, lookUp: LookUp): RuntimeSource {
  const closed = new AbortController();
  return {
    name,
    address,
    find: async (question, signal) => lookUp(question, AbortSignal.any([signal, closed.signal])),
    close: () => closed.abort(new Error(`${name} is closed`)),
  };
}

/** Options of the sources whose state lies in folders; `folders` replaces the default ones. */
export interface FolderOptions {
  readonly folders?: readonly StateFolder[];
}

/** Returns the address of a source: the folders it was given, or the one that its runtime uses by default. */
export function addressOf({ folders }: FolderOptions, usual: string): string {
  return folders?.map(({ path }) => path).join(' ') ?? usual;
}

/** Asks one after the other. What one of them can't read counts only when no other knows the container. */
export async function firstKnown<F, T>(
  folders: readonly F[],
  signal: AbortSignal,
  ask: (folder: F) => Promise<T | null>,
  isRoots: (folder: F) => boolean = () => true,
): Promise<T | null> {
  const failures: unknown[] = [];
  for (const folder of folders) {
    try {
      const found = await ask(folder);
      if (found !== null) return found;
    } catch (error) {
      signal.throwIfAborted();
      // A user may put anything into a folder of theirs: that must not pause the source for everybody.
      if (isRoots(folder)) failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return null;
}

/** Whether root owns it. */
export function isRootsFolder({ ownerUid }: { readonly ownerUid: number }): boolean {
  return ownerUid === 0;
}

/** Folders of root's own state. */
export function rootFolders(paths: readonly string[]): StateFolder[] {
  return paths.map((path) => ({ path, ownerUid: 0 }));
}

/**
 * The folders to ask: root's, and for a group of a user that user's own; `given` ones in place of both. Of a user's group
 * root's state tells only where it names the group itself (`namesGroup`): a user may name a group by any id.
 */
export async function foldersFor(
  question: ContainerQuestion,
  signal: AbortSignal,
  choice: {
    readonly given: readonly StateFolder[] | undefined;
    readonly ofRoot: readonly string[];
    readonly ofUser: (user: UserFolders) => readonly string[];
    readonly namesGroup?: boolean;
  },
): Promise<readonly StateFolder[]> {
  const uid = userOfGroup(question.cgroupPath);
  const mayTell = ({ ownerUid }: StateFolder): boolean =>
    uid === null || ownerUid === uid || (ownerUid === 0 && choice.namesGroup === true);
  if (choice.given !== undefined) return choice.given.filter(mayTell);
  const user = await userFoldersOf(question.cgroupPath, signal);
  const own = user === null ? [] : choice.ofUser(user).map((path) => ({ path, ownerUid: user.uid }));
  return [...own, ...rootFolders(choice.ofRoot)].filter(mayTell);
}
