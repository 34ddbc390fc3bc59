// Groups that were ignored for want of a place, or of a runtime that knew them. They are looked for again once there may be
// one.

/** Reason: each look visits every group of the host, and asks about each that was refused. */
const LOOK_EVERY_MS = 10_000;

export class Refusals {
  readonly #scopesMax: number;
  readonly #scopes = new Set<bigint>();
  #isLookDue = false;
  #hasUnproven = false;
  #lookedMs = -Infinity;

  /** `scopesMax`: those that are remembered; of others, each look counts anew. */
  constructor(scopesMax: number) {
    this.#scopesMax = scopesMax;
  }

  /** False when it was refused before, and so counted. */
  add(scope: bigint): boolean {
    if (this.#scopes.has(scope)) return false;
    if (this.#scopes.size < this.#scopesMax) this.#scopes.add(scope);
    return true;
  }

  /** It went, or has a place now. */
  delete(scope: bigint): void {
    this.#scopes.delete(scope);
  }

  /** There is a place for one of them. */
  roomCame(): void {
    if (this.#scopes.size > 0) this.#isLookDue = true;
  }

  /** A group was ignored as no runtime knew it for a container's. */
  unproven(): void {
    this.#hasUnproven = true;
  }

  /** A runtime answers again, which may know them. */
  sourceIsBack(): void {
    this.#isLookDue ||= this.#hasUnproven;
    this.#hasUnproven = false;
  }

  /** Whether to look through the groups now; told once. `nowMs` is any clock that only grows. */
  takeLook(nowMs: number): boolean {
    if (!this.#isLookDue || nowMs - this.#lookedMs < LOOK_EVERY_MS) return false;
    this.#isLookDue = false;
    this.#lookedMs = nowMs;
    return true;
  }
}
