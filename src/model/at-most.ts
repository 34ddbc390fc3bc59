// Waiting with a limit.
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves when the promise has, or after so many milliseconds; rejects if the promise does so before. */
export async function atMost(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  const timeout = sleep(timeoutMs, undefined, { signal: ended.signal }).catch(() => undefined);
  try {
    await Promise.race([promise, timeout]);
  } finally {
    ended.abort();
  }
}
