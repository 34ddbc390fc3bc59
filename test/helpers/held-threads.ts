// What a disk that hangs does to the threads of libuv: each is held by the opening of a pipe that nobody writes to.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const THREADS = Number(process.env.UV_THREADPOOL_SIZE ?? 4);

/** Holds all threads behind the calls that were made before; returns what lets them go, at the end of the test at the latest. */
export function holdThreads(t: TestContext): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-pipe-'));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const opened = Array.from({ length: THREADS }, () => open(pipe, 'r'));
  let released: Promise<void> | null = null;
  const release = async (): Promise<void> => {
    const writer = openSync(pipe, constants.O_RDWR);
    for (const file of await Promise.all(opened)) await file.close();
    closeSync(writer);
    rmSync(folder, { recursive: true });
  };
  const once = (): Promise<void> => (released ??= release());
  t.after(once);
  return once;
}
