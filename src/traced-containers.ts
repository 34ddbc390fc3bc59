// The traced containers by slot: their resource, and what the kernel has counted for each since it got its slot.
// Counts of a slot never go back to 0 in the kernel; the next container begins where the last one ended.
import type { ContainerCounts } from './bpf/container-counts.ts';
import { COUNTS, type CountedContainer, type Counts } from './model/container-counts.ts';
import { HOST_SLOT } from './model/container-slot.ts';
import type { Attributes } from './model/attributes.ts';

/**
 * Seconds from a verdict to the moment when what was counted before it is added: no program that hadn't heard of the
 * verdict runs any more.
 */
const VERDICT_SECONDS = 2;
/** Seconds after which what was counted for a scope that nobody judges is forgotten: `limits.metadata_wait` ends before. */
const UNJUDGED_SECONDS = 120;
/** Reason: 512 bytes and a resource each, until the next look; those beyond are counted as metrics_containers_lost. */
const ENDED_MAX = 4096;

interface Traced {
  attributes: Attributes;
  readonly startUnixMs: number;
  /** What the slot had counted before. */
  readonly before: Counts;
  /** What was counted before the verdict. */
  readonly early: Counts;
  filesOpen: number;
}

interface Verdict {
  /** null: not traced. */
  readonly slot: number | null;
  readonly second: number;
}

export class TracedContainers {
  readonly #counts: ContainerCounts | null;
  readonly #traced = new Map<number, Traced>();
  /** Of traced containers, and of others until what was counted before is taken. */
  readonly #verdicts = new Map<bigint, Verdict>();
  /** When a scope in the table of the unjudged was first seen there. */
  readonly #unjudged = new Map<bigint, number>();
  readonly #ended: CountedContainer[] = [];
  #second = 0;
  #lost = 0;

  /** `host`: the host's attributes where it is traced itself. */
  constructor(counts: ContainerCounts | null, host: Attributes | null) {
    this.#counts = counts;
    if (host !== null) this.changed(HOST_SLOT, host);
  }

  /** A container got a slot, or its resource changed. */
  changed(slot: number, attributes: Attributes): void {
    const known = this.#traced.get(slot);
    if (known !== undefined) {
      known.attributes = attributes;
      return;
    }
    const before = this.#read(slot);
    const early = new Float64Array(COUNTS);
    this.#traced.set(slot, { attributes, startUnixMs: Date.now(), before, early, filesOpen: 0 });
  }

  /** The slot is free again. What was counted is kept for one more look. */
  gone(slot: number): void {
    const traced = this.#traced.get(slot);
    if (traced === undefined) return;
    for (const [scope, verdict] of this.#verdicts) {
      if (verdict.slot !== slot) continue;
      this.#counts?.takeEarly(scope, traced.early);
      this.#verdicts.delete(scope);
    }
    this.#traced.delete(slot);
    if (this.#counts === null) return;
    if (this.#ended.length < ENDED_MAX) this.#ended.push(this.#counted(slot, { ...traced, filesOpen: 0 }));
    else this.#lost += 1;
  }

  /** What was decided of a scope that pairs may carry. What is no container's is the host's, where that is traced. */
  judged(scope: bigint, verdict: 'trace' | 'deny' | 'ignore', slot = HOST_SLOT): void {
    const isHost = verdict === 'ignore' && this.#traced.has(HOST_SLOT);
    const of = verdict === 'trace' ? slot : isHost ? HOST_SLOT : null;
    if (this.#counts === null || this.#verdicts.get(scope)?.slot === of) return;
    this.#verdicts.set(scope, { slot: of, second: this.#second });
  }

  attributesOf(slot: number): Attributes | undefined {
    return this.#traced.get(slot)?.attributes;
  }

  /** Once a second: adds what was counted before a verdict to its container. */
  tick(): void {
    this.#second += 1;
    this.#counts?.removeTaken();
    this.#settle(this.#second - VERDICT_SECONDS);
  }

  /** Returns the numbers of all containers of now, and the last ones of those that ended since the last look. */
  async look(): Promise<readonly CountedContainer[]> {
    if (this.#counts === null) return [];
    const slots = [...this.#traced.keys()];
    const met = slots.map((slot) => this.#counts!.filesMet(slot));
    if (slots.length > 0) await this.#counts.countOpenFiles();
    slots.forEach((slot, index) => {
      const traced = this.#traced.get(slot);
      if (traced !== undefined) traced.filesOpen = this.#counts!.filesMet(slot) - met[index];
    });
    const ended = this.#ended.splice(0);
    return [...ended, ...[...this.#traced].map(([slot, traced]) => this.#counted(slot, traced))];
  }

  /** The last look: no program runs any more. */
  lastLook(): Promise<readonly CountedContainer[]> {
    this.#settle(this.#second);
    return this.look();
  }

  /** Containers whose last numbers found no place. */
  get counts(): Readonly<Record<string, number>> {
    return { metrics_containers_lost: this.#lost };
  }

  #settle(untilSecond: number): void {
    const early = new Set(this.#counts?.earlyScopes() ?? []);
    for (const scope of early) {
      const verdict = this.#verdicts.get(scope);
      const since = this.#unjudged.get(scope) ?? this.#second;
      if (verdict === undefined && this.#second - since < UNJUDGED_SECONDS) {
        this.#unjudged.set(scope, since);
      } else if (verdict === undefined || verdict.second <= untilSecond) {
        const traced = this.#traced.get(verdict?.slot ?? -1);
        this.#counts!.takeEarly(scope, traced?.early ?? null);
      }
    }
    for (const scope of this.#unjudged.keys()) {
      if (!early.has(scope) || this.#verdicts.has(scope)) this.#unjudged.delete(scope);
    }
    for (const [scope, { slot, second }] of this.#verdicts) {
      if ((slot === null || slot === HOST_SLOT) && second <= untilSecond) this.#verdicts.delete(scope);
    }
  }

  #counted(slot: number, { attributes, startUnixMs, before, early, filesOpen }: Traced): CountedContainer {
    const counts = this.#read(slot);
    for (let index = 0; index < COUNTS; index += 1) counts[index] += early[index] - before[index];
    return { attributes, startUnixMs, counts, filesOpen };
  }

  #read(slot: number): Counts {
    const counts = new Float64Array(COUNTS);
    this.#counts?.addTo(counts, slot);
    return counts;
  }
}
