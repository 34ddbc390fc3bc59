// Whether a path is there, asked so that capabilities count.
import { statSync } from 'node:fs';

/** By stat(2): access(2), which existsSync asks, leaves out the capabilities of a user that isn't root. */
export function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
