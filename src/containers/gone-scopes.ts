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

  /** Returns those that may be forgotten where there is no room for others. */
  forgettable(): Scope[] {
    return this.#goneFor(GONE_MIN_MS);
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
