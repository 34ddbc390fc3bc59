// The namespaces of the host, which the programs compare those of tasks with.
import { stat } from 'node:fs/promises';
import { BpfError } from './bpf-object.ts';

/** Reads the inode of a namespace of the host: process 1's, or our own where that can't be read. */
export async function hostNamespace(type: 'mnt' | 'pid'): Promise<number> {
  for (const path of [`/proc/1/ns/${type}`, `/proc/self/ns/${type}`]) {
    try {
      return (await stat(path)).ino;
    } catch {
      // Without the right to look at process 1, our own namespace is the next best.
    }
  }
  throw new BpfError(`reading the ${type} namespace`, 0);
}
