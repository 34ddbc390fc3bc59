// What all fuzz tests share: how many runs, from which seed, and the row that tells of them.
//
//   FDSPAN_FUZZ_RUNS   runs of each test of weight 1 (default 1,000,000)
//   FDSPAN_FUZZ_SEED   the seed that an earlier run printed (default: another one each time)
//   FDSPAN_FUZZ_PATH   the path that a failure printed beside its seed: that input alone
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { RUNS_DEFAULT, whyNotWritten } from './document.ts';
import type { Guarded } from './hang-guard.ts';

export const ROWS_FOLDER = join(import.meta.dirname, '../../build/fuzz');
const RUNS = Number(process.env.FDSPAN_FUZZ_RUNS ?? RUNS_DEFAULT);
const SEED = Number(process.env.FDSPAN_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

export interface FuzzTarget<T> {
  /** What is given. */
  readonly title: string;
  readonly input: fc.Arbitrary<T>;
  /** Share of the runs, 1 where it is left out. */
  readonly weight?: number;
  /** Asserts what must hold; returns how it ended, in a few words. */
  readonly judge: (input: T) => string | Promise<string>;
  /** Ends that must be met, or the test doesn't reach what it is for. */
  readonly expected: readonly string[];
}

export interface FuzzRow {
  readonly title: string;
  readonly runs: number;
  readonly runsDefault: number;
  readonly seconds: number;
  readonly seed: number;
  /** How many runs ended how: a test whose every input is refused at once is seen to be one. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Runs a fuzz test. Nothing asks how long it takes, but that no single run hangs. */
export function fuzz<T>(target: FuzzTarget<T>): void {
  const { title, weight = 1, expected } = target;
  const runs = Math.max(1, Math.round(RUNS * weight));
  // Before the first run, not ten minutes later.
  const refusal = whyNotWritten(process.env);
  if (refusal !== null) throw new Error(refusal);
  test(title, async () => {
    // Before the first run: one that hangs tells nothing any more.
    console.log(`fuzz: ${title}: ${runs} runs, FDSPAN_FUZZ_SEED=${SEED}`);
    const began = performance.now();
    const begun = new Int32Array(new SharedArrayBuffer(4));
    const guarded: Guarded = { begun: begun.buffer, title, seed: SEED };
    const guard = new Worker(new URL('./hang-guard.ts', import.meta.url), { workerData: guarded });
    const judge = guardedBy(begun, target.judge);
    const path = process.env.FDSPAN_FUZZ_PATH;
    const outcomes = await assertTarget({ ...target, judge }, runs, SEED, path).finally(() =>
      guard.terminate(),
    );
    const seconds = (performance.now() - began) / 1000;
    const ends = Object.entries(outcomes).map(([outcome, count]) => `${outcome} ${count}`);
    console.log(`fuzz: ${title}: ${seconds.toFixed(1)} s; ${ends.sort().join(', ')}`);
    const unmet = expected.filter((outcome) => outcomes[outcome] === undefined);
    if (RUNS >= RUNS_DEFAULT && unmet.length > 0) throw new Error(`no run ended as: ${unmet.join(', ')}`);
    const runsDefault = Math.round(RUNS_DEFAULT * weight);
    writeRow({ title, runs, runsDefault, seconds, seed: SEED, outcomes });
  });
}

/** Tells the guard of each run. */
function guardedBy<T>(begun: Int32Array, judge: FuzzTarget<T>['judge']): FuzzTarget<T>['judge'] {
  if (!isAsync(judge)) {
    return (input) => {
      begun[0] += 1;
      return judge(input);
    };
  }
  return async (input) => {
    begun[0] += 1;
    return judge(input);
  };
}

function isAsync(judge: (input: never) => unknown): boolean {
  return judge.constructor.name === 'AsyncFunction';
}

/** Gives a target so many inputs; returns how they ended. Throws what fast-check makes of a failure, with seed and path. */
export async function assertTarget<T>(
  { input, judge }: FuzzTarget<T>,
  numRuns: number,
  seed?: number,
  path?: string,
): Promise<FuzzRow['outcomes']> {
  const outcomes: Record<string, number> = {};
  const note = (outcome: string): void => void (outcomes[outcome] = (outcomes[outcome] ?? 0) + 1);
  const parameters = {
    numRuns,
    ...(seed === undefined ? {} : { seed }),
    ...(path === undefined ? {} : { path }),
  };
  // A promise for each run would cost as much as most of the runs themselves.
  if (isAsync(judge)) {
    const property = fc.asyncProperty(input, async (given) => note(await judge(given)));
    await fc.assert(property, parameters);
  } else {
    const property = fc.property(input, (given) => note(judge(given) as string));
    fc.assert(property, parameters);
  }
  return outcomes;
}

function writeRow(row: FuzzRow): void {
  mkdirSync(ROWS_FOLDER, { recursive: true });
  const name = row.title.replaceAll(/[^a-z0-9]+/gi, '-');
  writeFileSync(join(ROWS_FOLDER, `${name}.json`), JSON.stringify(row));
}
