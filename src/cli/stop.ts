// The end of `fdspan run`: in order if it can be, and in a bounded time whatever hangs.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Collector } from '../collector.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../telemetry/log.ts';
import { lawViolations } from '../telemetry/summary.ts';
import { EXIT_BUG, EXIT_OK } from './exit-codes.ts';

/** Reason: what a stop does besides sending: draining, own telemetry, writing the spool. Each has a limit of its own below it. */
const MARGIN_MS = 10_000;

export interface Ending {
  readonly config: Config;
  readonly collector: Collector;
  readonly log: Logger;
  /** Why the collector can't go on; null: it was asked to stop. */
  readonly failure: Error | null;
  /** Resolves when it shall end at once. */
  readonly second: Promise<string>;
  /** What goes on besides the collector, and ends before and after it. */
  readonly before: () => Promise<unknown>;
  readonly after: () => Promise<unknown>;
}

/** Stops the collector, writes the summary, and returns the exit code. */
export async function endRun(ending: Ending): Promise<number> {
  const { collector, log } = ending;
  const { exitCode, counters } = await Promise.race([inOrder(ending), atOnce(ending), tooLate(ending)]);
  // Else stages were cut off in the middle of a record.
  if (exitCode === EXIT_OK && !collector.isAbandoned)
    for (const violation of lawViolations(counters))
      log.error('the law of conservation is broken', { violation });
  log.flush();
  log.info('summary', { counters });
  return exitCode;
}

interface End {
  readonly exitCode: number;
  readonly counters: Readonly<Record<string, number>>;
}

async function inOrder(ending: Ending): Promise<End> {
  const end = await stopped(ending);
  // Last: only a stopped collector knows the containers' last numbers, and what its stop dropped.
  await ending.after();
  return end;
}

async function stopped({ collector, log, failure, before }: Ending): Promise<End> {
  if (failure !== null) return salvage(collector, log, failure);
  await before();
  try {
    return { exitCode: EXIT_OK, counters: await collector.stop() };
  } catch (error) {
    return salvage(collector, log, error as Error);
  }
}

/** The pump died: what it gave is sent, or spooled. */
async function salvage(collector: Collector, log: Logger, failure: Error): Promise<End> {
  log.error(failure.message, { stack: failure.stack });
  return { exitCode: EXIT_BUG, counters: await collector.salvage() };
}

async function atOnce({ collector, log, second }: Ending): Promise<End> {
  const signal = await second;
  log.warn('told a second time to stop: what is not sent now goes to the spool or is given up', { signal });
  return { exitCode: EXIT_OK, counters: await collector.abandon() };
}

async function tooLate({ config: { limits }, collector, log }: Ending): Promise<End> {
  await sleep(limits.stopDeadlineMs + limits.metadataWaitMs + MARGIN_MS, undefined, { ref: false });
  log.error('the stop hangs and is given up', { cure: 'please report it, with what the log says before' });
  return { exitCode: EXIT_BUG, counters: await collector.abandon() };
}
