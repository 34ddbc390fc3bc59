// Runs an iterator program over everything that it visits, without holding the event loop.
import { closeSync, read } from 'node:fs';
import type { BpfObject } from './bpf-object.ts';

/** The kernel's own buffer of eight pages, of 64 KiB at most, is given out whole by one read: no entry is cut. */
const READ_BYTES = 512 * 1024;

/** Reads the iterator to its end on a thread of the pool; `take` gets what the program writes, and must not keep it. */
export async function runIterator(
  object: BpfObject,
  program: string,
  take: (bytes: Buffer) => void = () => {},
): Promise<void> {
  for await (const bytes of portionsOf(object, program)) take(bytes);
}

/**
 * Yields what the program writes for everything it visits, or for the elements of `map`, in portions of whole entries
 * that are valid until the next one. Each is read when it is asked for; whoever leaves early ends the iterator.
 */
export async function* portionsOf(
  object: BpfObject,
  program: string,
  map?: string,
): AsyncGenerator<Buffer, void, void> {
  const iterator = object.openIterator(program, map);
  const buffer = Buffer.alloc(READ_BYTES);
  try {
    for (;;) {
      const bytes = await readOnce(iterator.fd, buffer);
      if (bytes === 0) return;
      if (bytes > 0) yield buffer.subarray(0, bytes);
    }
  } finally {
    closeSync(iterator.fd);
    iterator.close();
  }
}

/** Returns the bytes read, 0 at the end, and -1 for another try: after each million of visits, or as a program asks. */
function readOnce(fd: number, buffer: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error === null) resolve(bytes);
      else if (error.code === 'EAGAIN') resolve(-1);
      else reject(error);
    });
  });
}
