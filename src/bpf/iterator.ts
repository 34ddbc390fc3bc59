// Runs an iterator program over everything that it visits, without holding the event loop.
import { closeSync, read } from 'node:fs';
import type { BpfObject } from './bpf-object.ts';

const READ_BYTES = 64 * 1024;

/** Reads the iterator to its end on a thread of the pool; `take` gets what the program writes, and must not keep it. */
export async function runIterator(
  object: BpfObject,
  program: string,
  take: (bytes: Buffer) => void = () => {},
): Promise<void> {
  const iterator = object.openIterator(program);
  const buffer = Buffer.alloc(READ_BYTES);
  try {
    for (;;) {
      const bytes = await readOnce(iterator.fd, buffer);
      if (bytes === 0) return;
      if (bytes > 0) take(buffer.subarray(0, bytes));
    }
  } finally {
    closeSync(iterator.fd);
    iterator.close();
  }
}

/** Returns the bytes read, 0 at the end, and -1 where the kernel paused: it does so after each million of visits. */
function readOnce(fd: number, buffer: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error === null) resolve(bytes);
      else if (error.code === 'EAGAIN') resolve(-1);
      else reject(error);
    });
  });
}
