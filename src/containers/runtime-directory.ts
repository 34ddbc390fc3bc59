// All runtimes of the host behind one question: what is this container? Asked within milliseconds of its group's
// creation, so it asks again for a while; a runtime that hangs or fails is left out for a while and harms nobody.
import { backoffMs } from '../model/backoff.ts';
import { Patience } from './patience.ts';
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from './runtimes/runtime-source.ts';
import { findPlaces, stateSources, type RuntimeSettings, type SourcePlace } from './runtime-sources.ts';

/** Reason: a runtime answers in 2–20 ms; one that is busy or hangs must not hold up the others' answers. */
const ASK_TIMEOUT_MS = 300;
/** A runtime registers a container some milliseconds before or after its group is made. */
const ASK_AGAIN_MS = [15, 30, 60, 120, 200, 300];
/** Look-ups at once; the others wait in line. Reason: descriptors and memory, when 1,000 containers start together. */
const LOOKUPS_AT_ONCE_MAX = 32;
/** What events told of containers that have no group yet. The oldest is forgotten, and then looked up as any other. */
const NEWS_MAX = 1024;
/** New sockets are looked for when nobody knows a container, at most this often. */
const DISCOVER_EVERY_MS = 1000;
const PAUSE_MS = { first: 1000, max: 60_000 };
/** Reason: a timer may fire a little before its time by the other clock, when the source is still left out. */
const TIMER_SLACK_MS = 50;
/** Containers that are asked about again; the oldest is forgotten, and stays as it is known. Reason: as for the news. */
const LESSER_MAX = 1024;

/** Sources that know more than others of a runtime's containers, best first; of other runtimes all are alike. */
const PREFERRED: Readonly<Record<string, readonly string[]>> = {
  docker: ['docker', 'cri', 'docker state'],
  podman: ['podman', 'podman state'],
  containerd: ['cri', 'containerd', 'containerd state'],
  'cri-o': ['cri', 'podman state'],
  lxc: ['lxc state'],
  'systemd-nspawn': ['nspawn state'],
  runc: ['runc state'],
  crun: ['crun state'],
};

export interface DirectoryListener {
  /** A runtime's event: a container was created, renamed or updated. */
  changed(metadata: ContainerMetadata): void;
  /** A look-up found nothing, or less than another source may know, and that one answers by now. */
  foundLater(metadata: ContainerMetadata): void;
  state(source: string, isAnswering: boolean, reason: string): void;
}

export interface DirectoryOptions {
  readonly settings: RuntimeSettings;
  /** How long one look-up goes on asking. */
  readonly waitMs: number;
  readonly listener: DirectoryListener;
}

interface Found {
  readonly metadata: ContainerMetadata;
  /** Whether no other source knows more. */
  readonly isBest: boolean;
  /** Whether one that knows more has failed: it is asked again as long as there is time. */
  readonly isBetterFailing: boolean;
}

interface LookUp {
  readonly question: ContainerQuestion;
  readonly runtime: string;
}

interface Asked {
  readonly source: RuntimeSource;
  /** After a failure: not asked before. */
  pausedUntilMs: number;
  pauses: number;
}

export class RuntimeDirectory {
  readonly #options: DirectoryOptions;
  readonly #sources = new Map<string, Asked>();
  readonly #news = new Map<string, ContainerMetadata>();
  readonly #waiting: (() => void)[] = [];
  readonly #closed = new AbortController();
  /** Look-ups whose answer may become better. */
  readonly #lesser = new Map<string, LookUp>();
  #isAskingAgain = false;
  #lookups = 0;
  #discovering: Promise<void> | null = null;
  #discoveredMs = -Infinity;
  #eventsSkipped = 0;
  #failures = 0;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    for (const source of stateSources(options.settings)) this.#add(source.name, source);
  }

  /** Counts of what went wrong; they only grow. */
  get counts(): { readonly runtime_events_skipped: number; readonly runtime_lookups_failed: number } {
    return { runtime_events_skipped: this.#eventsSkipped, runtime_lookups_failed: this.#failures };
  }

  /** Looks for the sockets that are there, and follows the events of those that are new. */
  discover(): Promise<void> {
    this.#discovering ??= findPlaces(this.#options.settings)
      .then((places) => this.#take(places))
      .finally(() => {
        this.#discovering = null;
        this.#discoveredMs = performance.now();
      });
    return this.#discovering;
  }

  /**
   * Asks who knows the container until one does, for `waitMs` at most; null when none does. Never rejects. `runtime` is
   * what the group's path says; `unknown` asks all.
   */
  async find(question: ContainerQuestion, runtime: string): Promise<ContainerMetadata | null> {
    const told = this.#news.get(question.id);
    this.#news.delete(question.id);
    if (told !== undefined) return told;
    await this.#takePlace();
    try {
      const found = await this.#findAgain(question, runtime);
      if (found?.isBest !== true) this.#keepLesser({ question, runtime });
      return found?.metadata ?? null;
    } finally {
      this.#lookups -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Ends every connection, follower and look-up. */
  close(): void {
    this.#closed.abort(new Error('fdspan stops'));
    for (const { source } of this.#sources.values()) source.close();
  }

  async #takePlace(): Promise<void> {
    if (this.#lookups >= LOOKUPS_AT_ONCE_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#lookups += 1;
  }

  async #findAgain(question: ContainerQuestion, runtime: string): Promise<Found | null> {
    const deadlineMs = performance.now() + this.#options.waitMs;
    let second: Found | null = null;
    for (let turn = 0; !this.#closed.signal.aborted; turn += 1) {
      const { best, other } = await this.#askAll(question, runtime);
      if (best?.isBetterFailing === false) return best;
      second = best ?? other ?? second;
      const told = this.#news.get(question.id);
      if (told !== undefined) return { metadata: told, isBest: true, isBetterFailing: false };
      if (performance.now() - this.#discoveredMs > DISCOVER_EVERY_MS) await this.discover();
      const waitMs = ASK_AGAIN_MS[Math.min(turn, ASK_AGAIN_MS.length - 1)];
      if (performance.now() + waitMs > deadlineMs) break;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    return second;
  }

  /** Asks the preferred sources, and where they know nothing the others. */
  async #askAll(
    question: ContainerQuestion,
    runtime: string,
  ): Promise<{ best: Found | null; other: Found | null }> {
    const all = [...this.#sources.values()];
    const names = PREFERRED[runtime];
    const rankOf = ({ source }: Asked): number => names.indexOf(source.name);
    const preferred =
      names === undefined
        ? all
        : all.filter((asked) => rankOf(asked) !== -1).toSorted((a, b) => rankOf(a) - rankOf(b));
    const best = await this.#firstOf(preferred, question, names?.[0]);
    if (best !== null || names === undefined) return { best, other: null };
    const others = all.filter((asked) => rankOf(asked) === -1);
    return { best: null, other: await this.#firstOf(others, question, names[0]) };
  }

  /** Asks at once; of several that know it, the first in order counts. */
  async #firstOf(
    asked: readonly Asked[],
    question: ContainerQuestion,
    bestName: string | undefined,
  ): Promise<Found | null> {
    const answers = asked.map((one) => this.#ask(one, question));
    for (const [index, answer] of answers.entries()) {
      const metadata = await answer;
      if (metadata === null) continue;
      return {
        metadata,
        isBest: bestName === undefined || asked[index].source.name === bestName,
        isBetterFailing: bestName !== undefined && asked.slice(0, index).some(({ pauses }) => pauses > 0),
      };
    }
    return null;
  }

  #keepLesser(lookUp: LookUp): void {
    this.#lesser.set(lookUp.question.id, lookUp);
    if (this.#lesser.size > LESSER_MAX) {
      const [oldest] = this.#lesser.keys();
      this.#lesser.delete(oldest);
    }
  }

  /** One after the other, each once: those who start or were busy are not asked for a thousand containers at once. */
  async #askAgain(): Promise<void> {
    if (this.#isAskingAgain) return;
    this.#isAskingAgain = true;
    for (const [id, { question, runtime }] of [...this.#lesser]) {
      if (this.#closed.signal.aborted) break;
      const { best, other } = await this.#askAll(question, runtime);
      const found = best ?? other;
      if (found === null) continue;
      if (found.isBest) this.#lesser.delete(id);
      this.#options.listener.foundLater(found.metadata);
    }
    this.#isAskingAgain = false;
  }

  async #ask(asked: Asked, question: ContainerQuestion): Promise<ContainerMetadata | null> {
    if (performance.now() < asked.pausedUntilMs) return null;
    const patience = new Patience(ASK_TIMEOUT_MS);
    const signal = AbortSignal.any([this.#closed.signal, patience.signal]);
    try {
      const answer = await asked.source.find(question, signal);
      asked.pauses = 0;
      return answer;
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#pause(asked, error);
      return null;
    } finally {
      patience.end();
    }
  }

  #pause(asked: Asked, error: unknown): void {
    this.#failures += 1;
    // Torn files and the like pass at once: a second failure in a row is the runtime's.
    asked.pauses += 1;
    const pauseMs = backoffMs(Math.max(1, asked.pauses - 1), PAUSE_MS.first, PAUSE_MS.max);
    // Nobody tells that it is well again: events come on another connection, and state files have none.
    setTimeout(() => void this.#askAgain(), pauseMs + TIMER_SLACK_MS).unref();
    if (asked.pauses < 2) return;
    asked.pausedUntilMs = performance.now() + pauseMs;
    const reason = error instanceof Error ? error.message : String(error);
    if (asked.pauses === 2) this.#options.listener.state(nameOf(asked.source), false, reason);
  }

  #take(places: readonly SourcePlace[]): void {
    for (const { key, make } of places) {
      if (this.#sources.has(key) || this.#closed.signal.aborted) continue;
      const source = make();
      this.#add(key, source);
      source.follow?.({
        changed: (metadata) => this.#changed(metadata),
        state: (isAnswering, reason) => {
          const asked = this.#sources.get(key);
          if (isAnswering && asked !== undefined) asked.pausedUntilMs = asked.pauses = 0;
          this.#options.listener.state(nameOf(source), isAnswering, reason);
          if (isAnswering) void this.#askAgain();
        },
        skipped: () => void (this.#eventsSkipped += 1),
      });
    }
  }

  #add(key: string, source: RuntimeSource): void {
    this.#sources.set(key, { source, pausedUntilMs: 0, pauses: 0 });
  }

  #changed(metadata: ContainerMetadata): void {
    this.#news.delete(metadata.id);
    this.#news.set(metadata.id, metadata);
    if (this.#news.size > NEWS_MAX) {
      const [oldest] = this.#news.keys();
      this.#news.delete(oldest);
    }
    this.#options.listener.changed(metadata);
  }
}

function nameOf(source: RuntimeSource): string {
  return `${source.name} (${source.address})`;
}
