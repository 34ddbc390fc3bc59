// Containers that were judged by less than their runtimes may know: the wait for an answer was over before anybody could be
// asked, or the source that knows most was down. Each is asked about once more when the runtimes have time, and again
// whenever a source answers again; what nobody knows isn't asked about for ever.
import type { Container } from './container-table.ts';
import { rankOf } from './preference.ts';

/** Reason: new containers go first; a start of hundreds is made up for in some seconds. */
const AT_ONCE_MAX = 64;
/** Reason: a runtime that comes and goes must not have all containers asked about all the time. */
const ALL_AGAIN_EVERY_MS = 10_000;

/** Whether a runtime may know more of it. No runtime knows a namespace's number. */
export function isUnsure({ path, metadata }: Container): boolean {
  if (path.instance !== undefined) return false;
  if (metadata === null) return true;
  return metadata.toldBy !== undefined && rankOf(metadata.toldBy, path.runtime) > 0;
}

export class SecondAsks {
  readonly #isPaused: (runtime: string) => boolean;
  /** Containers that are known, at most: whoever forgets one says so. */
  readonly #due = new Set<Container>();
  /** Those of which the second answer came, too. */
  readonly #asked = new WeakSet<Container>();
  #isSourceBack = false;
  #allAgainMs = -Infinity;

  /** `isPaused`: whether a source that knows most of a runtime's containers is left out now, as it fails. */
  constructor(isPaused: (runtime: string) => boolean) {
    this.#isPaused = isPaused;
  }

  /** The answer about the container came, or the wait for it is over. */
  answered(container: Container): void {
    if (!isUnsure(container)) return this.forget(container);
    const isEnough = this.#asked.has(container) && !this.#isPaused(container.path.runtime);
    if (!isEnough) this.#due.add(container);
  }

  forget(container: Container): void {
    this.#due.delete(container);
  }

  /** A source answers again: the next `take` begins anew with all that are unsure. */
  sourceIsBack(): void {
    this.#isSourceBack = true;
  }

  /** Asks about all that are unsure once more. */
  again(containers: Iterable<Container>): void {
    for (const container of containers) if (isUnsure(container)) this.#due.add(container);
  }

  /** Returns those to be asked about now. `nowMs` is any clock that only grows; `asking`: how many are asked about already. */
  take(nowMs: number, asking: number, known: Iterable<Container>): Container[] {
    if (this.#isSourceBack && nowMs - this.#allAgainMs >= ALL_AGAIN_EVERY_MS) {
      this.#isSourceBack = false;
      this.#allAgainMs = nowMs;
      this.again(known);
    }
    const taken: Container[] = [];
    for (const container of this.#due) {
      if (asking + taken.length >= AT_ONCE_MAX) break;
      if (container.isBeingAsked || container.verdict === 'unjudged') continue;
      if (this.#isPaused(container.path.runtime)) continue;
      this.#due.delete(container);
      this.#asked.add(container);
      taken.push(container);
    }
    return taken;
  }
}
