// What is done with files while they are open: they are listed, reported, and their times survive a restart of fdspan.
// On the main thread, in portions.
import { randomBytes } from 'node:crypto';
import { bootNs } from '../bpf/libc.ts';
import type { OpenFiles, OpenIdentity, RestoredOpen } from '../bpf/open-files.ts';
import type { OpenFileRow, OpenFilesQuery, OpenFilesTotal } from '../model/open-file-row.ts';
import type { Redaction } from '../model/redaction.ts';
import type { Logger } from '../telemetry/log.ts';
import { Redactor } from '../filter/redactor.ts';
import { HeldReports, type HeldTimes } from './held-reports.ts';
import { listOpenFiles, type ListingContainer } from './listing.ts';
import { readBootId, readStateFile, writeStateFile, type KnownTimes } from './state-file.ts';

/** Reason: what a kill loses is a minute of opens; 100,000 open files cost some 0.1 s of CPU each time. */
const SAVE_EVERY_MS = 60_000;
/**
 * Younger ones aren't kept. Reason: a process that opens a file again and again gets the same address for it, and
 * can't be told from one that held it; what it opened last is young.
 */
const KEPT_AGE_MIN_NS = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;
const FOR_EVER = 0xffff_ffff_ffff_ffffn;

export interface OpenFileSideParts {
  readonly openFiles: OpenFiles;
  readonly held: HeldTimes;
  /** null: nothing is kept. */
  readonly stateFile: string | null;
  readonly containers: () => readonly ListingContainer[];
  /** Resolves when the pump has read all that the ring held. */
  readonly drained: () => Promise<void>;
  /** The kernel's, by name. */
  readonly counters: () => Readonly<Record<string, number>>;
  readonly log: Logger;
  /** Of paths in listings; undefined: none. */
  readonly redaction: Redaction | undefined;
}

export class OpenFileSide {
  readonly #parts: OpenFileSideParts;
  readonly #reports: HeldReports;
  #redactor: Redactor | null;
  #key = randomBytes(8).readBigUInt64LE();
  #known: KnownTimes | null = null;
  #saveTimer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();
  #isSaveFailing = false;
  #restored = 0;
  #leftOut = 0;

  constructor(parts: OpenFileSideParts) {
    const { openFiles, held, drained, counters, log } = parts;
    this.#parts = parts;
    this.#redactor = redactorOf(parts.redaction);
    this.#reports = new HeldReports({
      ...held,
      bootNs,
      report: async (look) => (hasPending(counters()) ? openFiles.report(look, drained) : FOR_EVER),
      onError: (error) => log.warn('open files could not be reported', { error }),
    });
  }

  /** Counts; they only grow. */
  get counts(): Readonly<Record<string, number>> {
    return { open_times_restored: this.#restored, open_times_left_out: this.#leftOut };
  }

  /** Reads what an earlier fdspan knew, before anything is tracked. */
  async begin(): Promise<void> {
    const { stateFile, openFiles, log } = this.#parts;
    if (stateFile === null) return;
    try {
      this.#known = await readStateFile(stateFile, { id: await readBootId(), nowBootNs: bootNs() });
    } catch (error) {
      log.warn("the state file isn't used: files that are open already count as opened now", {
        path: stateFile,
        error: (error as Error).message,
      });
    }
    this.#key = this.#known?.key ?? this.#key;
    openFiles.setIdentityKey(this.#key);
  }

  /** Gives adopted files their times, and begins to report and to save. */
  async start(): Promise<void> {
    const { log, stateFile } = this.#parts;
    try {
      if (this.#known !== null) await this.#restore(this.#known);
    } catch (error) {
      log.warn('the times of adopted files could not be restored', { error });
    }
    this.#known = null;
    this.#reports.start();
    if (stateFile !== null) this.#saveTimer = setInterval(() => void this.#save(), SAVE_EVERY_MS);
  }

  /** Of reports and of listings that begin from now on. */
  change({ held, redaction }: Pick<OpenFileSideParts, 'held' | 'redaction'>): void {
    this.#redactor = redactorOf(redaction);
    this.#reports.change(held);
  }

  /** Ends the reports. */
  async stop(): Promise<void> {
    if (this.#saveTimer !== null) clearInterval(this.#saveTimer);
    await this.#reports.stop();
  }

  /** Saves what is open now; at a stop, once no program runs any more and before the pairs are ended. */
  async saveLast(): Promise<void> {
    if (this.#parts.stateFile !== null) await this.#save();
  }

  /** Yields the files that are open now. */
  list(query: OpenFilesQuery): AsyncGenerator<readonly OpenFileRow[], OpenFilesTotal, void> {
    const nowBootNs = bootNs();
    const unixNs = BigInt(Date.now()) * NS_PER_MS;
    const { openFiles, containers } = this.#parts;
    const sources = { portions: openFiles.list(), containers: containers(), redactor: this.#redactor };
    return listOpenFiles({ ...sources, bootNs: nowBootNs, unixNs }, query);
  }

  async #restore(known: KnownTimes): Promise<void> {
    const { openFiles, log } = this.#parts;
    let restored = 0;
    for await (const portion of openFiles.identities()) {
      restored += openFiles.restore(portion.flatMap((open) => restoredOf(open, known)));
    }
    this.#restored = restored;
    log.info('open files are known from before', { files: restored, kept: known.count });
  }

  /** One at a time: a slow disk must not make them pile up. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#saveNow());
    return this.#saving;
  }

  async #saveNow(): Promise<void> {
    const { stateFile, openFiles, log } = this.#parts;
    if (stateFile === null) return;
    const nowBootNs = bootNs();
    try {
      const boot = { id: await readBootId(), nowBootNs };
      const leftOut = await writeStateFile(stateFile, this.#key, boot, keptOf(openFiles, nowBootNs));
      this.#leftOut += leftOut;
      this.#isSaveFailing = false;
    } catch (error) {
      if (!this.#isSaveFailing)
        log.warn("the state file can't be written: a restart will not know since when files are open", {
          path: stateFile,
          error: (error as Error).message,
          cure: 'set control.state_file to a path that can be written, or to null',
        });
      this.#isSaveFailing = true;
    }
  }
}

function redactorOf(redaction: Redaction | undefined): Redactor | null {
  return redaction === undefined ? null : new Redactor(redaction);
}

async function* keptOf(
  openFiles: OpenFiles,
  nowBootNs: bigint,
): AsyncGenerator<readonly OpenIdentity[], void, void> {
  for await (const portion of openFiles.identities())
    yield portion.filter(({ openedBootNs }) => nowBootNs - openedBootNs >= KEPT_AGE_MIN_NS);
}

function restoredOf(adopted: OpenIdentity, known: KnownTimes): RestoredOpen[] {
  if (!adopted.isAdopted) return [];
  const time = known.find(adopted.identity);
  if (time === null) return [];
  const { openedBootNs, reportedBootNs } = time;
  const isPlausible =
    openedBootNs > 0n && openedBootNs <= reportedBootNs && reportedBootNs <= adopted.openedBootNs;
  return isPlausible ? [{ adopted, ...time }] : [];
}

/** Whether any file is open, by the kernel's counters. */
export function hasPending(counters: Readonly<Record<string, number>>): boolean {
  return counters['opens_tracked'] !== counters['pairs_finished'];
}
