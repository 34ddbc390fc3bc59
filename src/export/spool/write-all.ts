// Writes parts one behind the other, in one call where the disk takes them.
import type { FileHandle } from 'node:fs/promises';

/** Throws as write(2) does; how much was written then isn't known. */
export async function writeAll(
  file: FileHandle,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await file.writev(parts, position);
  if (bytesWritten === bytes) return;
  // The rest tells why: a full disk takes a part first.
  const rest = Buffer.concat(parts).subarray(bytesWritten);
  for (let done = 0; done < rest.length;) {
    const written = (await file.write(rest, done, rest.length - done, position + bytesWritten + done))
      .bytesWritten;
    if (written === 0) throw Object.assign(new Error('the file takes no more bytes'), { code: 'ENOSPC' });
    done += written;
  }
}
