// A thread that ends the process when its main thread stays in one run: the test runner can't, as its timers wait for that
// thread too. What it prints names the input.
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

export interface Guarded {
  /** One word: the runs that were begun. */
  readonly begun: SharedArrayBuffer;
  readonly title: string;
  readonly seed: number;
}

/** Reason: the longest run that was seen takes some seconds on a machine that is busy with other things. */
const STUCK_MS = 120_000;

const { begun, title, seed } = workerData as Guarded;
const words = new Int32Array(begun);
for (;;) {
  const before = Atomics.load(words, 0);
  if (Atomics.wait(words, 0, before, STUCK_MS) !== 'timed-out' || Atomics.load(words, 0) !== before) continue;
  const input = `FDSPAN_FUZZ_SEED=${seed} FDSPAN_FUZZ_PATH=${before - 1}`;
  writeSync(2, `fuzz: ${title}: run ${before} hangs: ${input}\n`);
  process.kill(process.pid, 'SIGKILL');
}
