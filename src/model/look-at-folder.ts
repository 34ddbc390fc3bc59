// Whether a folder that may be missing can be used, before anything is made or written: the start makes what is missing.
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface FolderLook {
  /** The folder itself, or the nearest above it that is there. */
  readonly existing: string;
  /** Why this user can't use it; null: nothing is in the way. */
  readonly error: NodeJS.ErrnoException | null;
}

/**
 * Looks at an absolute path, without touching anything.
 * @param mode of access(2), such as W_OK | X_OK.
 * @param root put before the path, where the host is looked at from elsewhere.
 */
export async function lookAtFolder(folder: string, mode: number, root = ''): Promise<FolderLook> {
  let existing = folder;
  for (;;) {
    try {
      const isFolder = (await stat(root + existing)).isDirectory();
      if (!isFolder) throw Object.assign(new Error(`${existing} isn't a folder`), { code: 'ENOTDIR' });
      await access(root + existing, mode);
      return { existing, error: null };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' || dirname(existing) === existing)
        return { existing, error: error as NodeJS.ErrnoException };
      existing = dirname(existing);
    }
  }
}
