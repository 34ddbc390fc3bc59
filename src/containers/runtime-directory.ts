// All runtimes of the host behind one question: what is this container? Asked within milliseconds of its group's
// creation, so it asks again for a while; a runtime that hangs or fails is left out for a while and harms nobody.
import { LookupLine } from './lookup-line.ts';
import { PREFERRED, rankOf } from './preference.ts';
import { AskedSource } from './asked-source.ts';
import { EventNews } from './event-news.ts';
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from './runtimes/runtime-source.ts';
import { userBytes } from './runtimes/user-bytes.ts';
import { userOfGroup } from './runtimes/user-slice.ts';
import { findPlaces, stateSources, type FoundPlaces, type RuntimeSettings } from './runtime-sources.ts';
import { isToldOf } from './told-of.ts';

/** A runtime registers a container some milliseconds before or after its group is made. */
const ASK_AGAIN_MS = [15, 30, 60, 120, 200, 300];
/** A bare runtime keeps its state while the container lives, of a short one some 10 ms; and reading it costs little. */
const ASK_BARE_AGAIN_MS = [...Array<number>(15).fill(8), 60, 120, 300];
/** From this turn on, runtimes other than the path's are asked too. Reason: it is rare, and each asks many files. */
const OTHERS_TURN = 2;
/** Look-ups that ask at once; the others wait in line. */
const LOOKUPS_MAX = {
  // Reason: more would only make each slower than ASK_TIMEOUT_MS.
  all: 16,
  // Reason: a user makes any number of groups, and chooses what answers.
  ofUser: 4,
  // Reason: while a runtime hangs each holds its place for the whole wait, and new containers' records wait.
  later: 4,
};
/** New sockets are looked for when nobody knows a container, at most this often. */
const DISCOVER_EVERY_MS = 1000;

const BARE = ['runc', 'crun', 'runsc'];

export interface DirectoryListener {
  /** A runtime's event: a container was created, renamed or updated. */
  changed(metadata: ContainerMetadata): void;
  state(source: string, isAnswering: boolean, reason: string): void;
  /** Told once: more users have a runtime folder than are looked at. */
  usersLeftOut?(users: number): void;
}

export interface DirectoryOptions {
  readonly settings: RuntimeSettings;
  /** How long one look-up takes at most, its time in line included. */
  readonly waitMs: number;
  readonly listener: DirectoryListener;
  /** What reads state files, in place of the settings' choice. */
  readonly stateSources?: readonly RuntimeSource[];
  /** Where sockets are found, in place of the settings' choice. */
  readonly findPlaces?: () => Promise<FoundPlaces>;
}

export type DirectoryCount =
  | 'runtime_events_skipped'
  | 'runtime_lookups_failed'
  | 'runtime_lookups_held'
  | 'runtime_user_reads_refused'
  | 'runtime_users_left_out';

interface Lookup {
  readonly question: ContainerQuestion;
  readonly runtime: string;
  /** In whose groups it is; null: nobody's. */
  readonly user: number | null;
  readonly isThere: () => boolean;
  deadlineMs: number;
  /** What any source answered: counts when no better answer comes in time. */
  other: ContainerMetadata | null;
  isOver: boolean;
  /** Resolves with it: a question that is still being asked holds no place any longer. */
  readonly over: Promise<unknown>;
  /** Starts its time; null: that runs already. */
  begin: (() => void) | null;
  end(answer: ContainerMetadata | null): void;
}

export class RuntimeDirectory {
  readonly #options: DirectoryOptions;
  readonly #sources = new Map<string, AskedSource>();
  readonly #news = new EventNews();
  readonly #line = new LookupLine(LOOKUPS_MAX);
  readonly #lookups = new Set<Lookup>();
  #isClosed = false;
  #discovering: Promise<void> | null = null;
  #discoveredMs = -Infinity;
  #eventsSkipped = 0;
  /** Of sources that are forgotten. */
  #failuresBefore = 0;
  #usersLeftOut = 0;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const sources = options.stateSources ?? stateSources(options.settings);
    for (const source of sources) this.#add(source.name, source);
  }

  /** Counts of what went wrong or found no place; they only grow. */
  get counts(): Readonly<Record<DirectoryCount, number>> {
    let failures = this.#failuresBefore;
    for (const source of this.#sources.values()) failures += source.failures;
    return {
      runtime_events_skipped: this.#eventsSkipped,
      runtime_lookups_failed: failures,
      runtime_lookups_held: this.#line.heldByUser,
      runtime_user_reads_refused: userBytes.refused,
      runtime_users_left_out: this.#usersLeftOut,
    };
  }

  /** Looks for the sockets that are there, and follows the events of those that are new. */
  discover(): Promise<void> {
    const { settings } = this.#options;
    this.#discovering ??= (this.#options.findPlaces?.() ?? findPlaces(settings))
      .then((found) => this.#take(found))
      .finally(() => {
        this.#discovering = null;
        this.#discoveredMs = performance.now();
      });
    return this.#discovering;
  }

  /**
   * Asks who knows the container until one does, for `waitMs` at most; null when none does. Never rejects. `runtime` is
   * what the group's path says; `unknown` asks all. What is no longer there is asked about once more: its runtime
   * learns nothing new of it. `isAgain`: nothing waits for the answer, so that it goes behind the others in line, and its
   * time begins with its turn.
   */
  find(
    question: ContainerQuestion,
    runtime: string,
    isThere: () => boolean = () => true,
    isAgain = false,
  ): Promise<ContainerMetadata | null> {
    const told = this.#news.take(question, runtime);
    if (told !== undefined && !this.#hasBetter(told)) return Promise.resolve(told);
    if (this.#isClosed) return Promise.resolve(told ?? null);
    const { promise, resolve } = Promise.withResolvers<ContainerMetadata | null>();
    const lookup: Lookup = {
      question,
      runtime,
      user: userOfGroup(question.cgroupPath),
      isThere,
      deadlineMs: Infinity,
      other: told ?? null,
      isOver: false,
      over: promise,
      begin: () => {
        lookup.begin = null;
        lookup.deadlineMs = performance.now() + this.#options.waitMs;
        timer = setTimeout(() => lookup.end(lookup.other), this.#options.waitMs);
      },
      end: (answer) => {
        lookup.isOver = true;
        clearTimeout(timer);
        this.#lookups.delete(lookup);
        resolve(answer);
      },
    };
    let timer: NodeJS.Timeout | undefined;
    if (!isAgain) lookup.begin?.();
    this.#lookups.add(lookup);
    void this.#askUntilOver(lookup);
    return promise;
  }

  /** Whether the source that knows most of this runtime's containers is left out now, as it fails. */
  isPaused(runtime: string): boolean {
    const sources = [...this.#sources.values()].filter(({ isUsers }) => !isUsers);
    const best = (PREFERRED[runtime] ?? []).find((name) => sources.some((source) => source.name === name));
    return sources.some(({ name, isPaused }) => name === best && isPaused);
  }

  /** Ends every connection, follower and look-up. */
  close(): void {
    this.#isClosed = true;
    for (const source of this.#sources.values()) source.close();
    for (const lookup of this.#lookups) lookup.end(null);
  }

  async #askUntilOver(lookup: Lookup): Promise<void> {
    const isLater = lookup.begin !== null;
    for (let turn = 0; !lookup.isOver; turn += 1) {
      const rank = isLater ? 'later' : turn > 0 ? 'again' : 'first';
      const place = { rank, user: lookup.user } as const;
      await this.#line.take(place);
      if (!lookup.isOver) lookup.begin?.();
      const isThere = lookup.isThere();
      if (!lookup.isOver) await Promise.race([this.#ask(lookup, turn), lookup.over]);
      this.#line.give(place);
      if (!isThere) lookup.end(lookup.other);
      if (lookup.isOver) return;
      await this.#discoverAgain();
      const waits = BARE.includes(lookup.runtime) ? ASK_BARE_AGAIN_MS : ASK_AGAIN_MS;
      const waitMs = waits[Math.min(turn, waits.length - 1)];
      // Nobody will be asked again in time: its records needn't wait.
      if (performance.now() + waitMs > lookup.deadlineMs) return lookup.end(lookup.other);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** Asks the preferred sources, and where they know nothing for a while the others. */
  async #ask(lookup: Lookup, turn: number): Promise<void> {
    const names = PREFERRED[lookup.runtime] ?? [];
    const all = [...this.#sources.values()];
    const rank = ({ name }: AskedSource): number => rankOf(name, lookup.runtime);
    const preferred = all.filter(({ name }) => names.includes(name)).toSorted((a, b) => rank(a) - rank(b));
    const best = await firstOf(preferred, lookup);
    if (best !== null) return lookup.end(best);
    const isSure = preferred.length > 0 && lookup.runtime !== 'unknown';
    if (isSure && turn < OTHERS_TURN) return;
    const rest = all.filter(({ name }) => !names.includes(name));
    const other = await firstOf(rest, lookup);
    if (other !== null && !isSure) lookup.end(other);
  }

  async #discoverAgain(): Promise<void> {
    if (performance.now() - this.#discoveredMs <= DISCOVER_EVERY_MS) return;
    // Without a new look the sources that are known are asked on.
    await this.discover().catch(() => {});
  }

  #take({ places, usersLeftOut }: FoundPlaces): void {
    if (usersLeftOut > 0 && this.#usersLeftOut === 0) this.#options.listener.usersLeftOut?.(usersLeftOut);
    this.#usersLeftOut = Math.max(this.#usersLeftOut, usersLeftOut);
    this.#forgetUsersBut(new Set(places.map(({ key }) => key)));
    for (const { key, make, isUsers } of places) {
      if (this.#sources.has(key) || this.#isClosed) continue;
      const source = make();
      const asked = this.#add(key, source, isUsers);
      source.follow?.({
        changed: (metadata) => this.#changed({ ...metadata, toldBy: source.name }),
        state: (isAnswering, reason) => {
          if (isAnswering) asked.resume();
          this.#options.listener.state(asked.fullName, isAnswering, reason);
        },
        skipped: () => void (this.#eventsSkipped += 1),
      });
    }
  }

  /** Users come and go, and each may leave two sockets: those that are gone are asked no more. */
  #forgetUsersBut(found: ReadonlySet<string>): void {
    for (const [key, source] of this.#sources) {
      if (!source.isUsers || found.has(key)) continue;
      this.#failuresBefore += source.failures;
      this.#sources.delete(key);
      source.close();
    }
  }

  #add(key: string, source: RuntimeSource, isUsers = false): AskedSource {
    const asked = new AskedSource(
      source,
      (isAnswering, reason) => this.#options.listener.state(asked.fullName, isAnswering, reason),
      isUsers,
    );
    this.#sources.set(key, asked);
    return asked;
  }

  #changed(metadata: ContainerMetadata): void {
    let isAwaited = false;
    for (const lookup of this.#lookups) {
      if (!isToldOf(metadata, lookup.question, lookup.runtime)) continue;
      isAwaited = true;
      // A better source is asked about it, too, and its answer counts.
      if (this.#hasBetter(metadata)) lookup.other = metadata;
      else lookup.end(metadata);
    }
    if (this.#news.tell(metadata, isAwaited)) this.#options.listener.changed(metadata);
  }

  #hasBetter({ toldBy, runtimeName }: ContainerMetadata): boolean {
    const rank = rankOf(toldBy, runtimeName);
    return [...this.#sources.values()].some(
      ({ name, isPaused }) => !isPaused && rankOf(name, runtimeName) < rank,
    );
  }
}

/**
 * Asks all at once; the first in order that knows it counts, and none waits for those behind it. What one behind knows
 * counts when the time is over.
 */
async function firstOf(sources: readonly AskedSource[], lookup: Lookup): Promise<ContainerMetadata | null> {
  const answers = sources.map(async (source) => {
    const answer = await source.find(lookup.question);
    lookup.other = answer ?? lookup.other;
    return answer;
  });
  for (const answer of answers) {
    const metadata = await answer;
    if (metadata !== null) return metadata;
  }
  return null;
}
