// Whose groups a runtime may speak of, by who owns the socket that it listens at.
import { stat } from 'node:fs/promises';
import { userOfGroup } from './user-slice.ts';

/**
 * Whether what listens there may tell of a container in this group. A user may name a group of their own by the id of
 * anybody's container: of a user's groups only a runtime of that user's is asked. Of other groups every runtime is.
 */
export async function mayTellOf(cgroupPath: string, socketPath: string): Promise<boolean> {
  const user = userOfGroup(cgroupPath);
  if (user === null) return true;
  const file = await stat(socketPath).catch(() => null);
  return file !== null && file.isSocket() && file.uid === user;
}
