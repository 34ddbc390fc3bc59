// Scopes whose groups went, the longest gone first: they are kept for a while, as records may still wait.

/** Before that a slot isn't free for another container. Reason: ring, pump and open request hold a record some 300 ms. */
const GONE_MIN_MS = 1000;

export class GoneScopes<Scope> {
  /** null until the first tick after it went: whoever tells of it has no clock. */
  readonly #goneAtMs = new Map<Scope, number | null>();
  #nowMs = 0;

  add(scope: Scope): void {
    if (!this.#goneAtMs.has(scope)) this.#goneAtMs.set(scope, null);
  }

  delete(scope: Scope): void {
    this.#goneAtMs.delete(scope);
  }

  /** Returns those that went `keepMs` ago or longer. `nowMs` is any clock that only grows. */
  tick(nowMs: number, keepMs: number): Scope[] {
    this.#nowMs = nowMs;
    for (const [scope, goneAtMs] of this.#goneAtMs) {
      if (goneAtMs === null) this.#goneAtMs.set(scope, nowMs);
    }
    return this.#goneFor(keepMs);
  }

  /** Gives those whose slot may go to others where there is no room; `hasSlot` tells which have one. */
  *forgettable(hasSlot: (scope: Scope) => boolean): Generator<Scope> {
    for (const [scope, goneAtMs] of this.#goneAtMs) {
      const isLongGone = goneAtMs !== null && this.#nowMs - goneAtMs >= GONE_MIN_MS;
      if (isLongGone || !hasSlot(scope)) yield scope;
    }
  }

  #goneFor(ms: number): Scope[] {
    const gone: Scope[] = [];
    for (const [scope, goneAtMs] of this.#goneAtMs) {
      if (goneAtMs === null || this.#nowMs - goneAtMs < ms) break;
      gone.push(scope);
    }
    return gone;
  }
}
