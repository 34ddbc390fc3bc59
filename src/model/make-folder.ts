// Folders above a file that is to be written.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it that are missing. Throws as mkdir(2) does. Not by mkdir's `recursive`: where a file
 * system says ENOENT to each new name, as /proc does, that tries for ever.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path, mode).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  try {
    await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path), mode);
    await make();
  }
}
