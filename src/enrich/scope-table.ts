// Stage enrich: what is known of a scope. Open addressing over typed arrays (14 ns a lookup; a
// Map of bigint costs 61 ns and an allocation).

import { SCOPE_UNKNOWN, SCOPE_WAITING } from '../model/scope-state.ts';

export class ScopeTable {
  private readonly keysLo: Uint32Array;
  private readonly keysHi: Uint32Array;
  /** State of each place; SCOPE_UNKNOWN marks a free place. */
  private readonly states: Int32Array;
  private readonly placeMask: number;
  private readonly countMax: number;
  private readonly waitingMax: number;
  private count = 0;
  private waitingCount = 0;

  /**
   * Makes a table for `scopesMax` scopes, of which `waitingMax` may wait for a verdict: fixed, so that a host that makes
   * cgroups without end can't grow it. A scope that finds it full stays unknown, and its records are counted as
   * `unjudged_overflow`.
   */
  constructor(scopesMax: number, waitingMax: number = scopesMax) {
    let places = 16;
    while (places < 2 * scopesMax) places *= 2;
    this.keysLo = new Uint32Array(places);
    this.keysHi = new Uint32Array(places);
    this.states = new Int32Array(places).fill(SCOPE_UNKNOWN);
    this.placeMask = places - 1;
    this.countMax = scopesMax;
    this.waitingMax = waitingMax;
  }

  /** Returns the state of a scope (src/model/scope-state.ts). */
  find(scopeLo: number, scopeHi: number): number {
    return this.states[this.placeOf(scopeLo, scopeHi)];
  }

  /** Sets the state of a scope; false when the table is full, or as many wait as may. */
  set(scopeLo: number, scopeHi: number, state: number): boolean {
    const place = this.placeOf(scopeLo, scopeHi);
    const before = this.states[place];
    if (state === SCOPE_WAITING && before !== SCOPE_WAITING && this.waitingCount === this.waitingMax)
      return false;
    if (before === SCOPE_UNKNOWN) {
      if (this.count === this.countMax) return false;
      this.count += 1;
      this.keysLo[place] = scopeLo;
      this.keysHi[place] = scopeHi;
    }
    if (before === SCOPE_WAITING) this.waitingCount -= 1;
    if (state === SCOPE_WAITING) this.waitingCount += 1;
    this.states[place] = state;
    return true;
  }

  /** Forgets a scope, and moves later entries of its run up so that no lookup ends early. */
  remove(scopeLo: number, scopeHi: number): void {
    let hole = this.placeOf(scopeLo, scopeHi);
    if (this.states[hole] === SCOPE_UNKNOWN) return;
    this.count -= 1;
    if (this.states[hole] === SCOPE_WAITING) this.waitingCount -= 1;
    for (let place = (hole + 1) & this.placeMask; this.states[place] !== SCOPE_UNKNOWN;) {
      const home = this.homeOf(this.keysLo[place], this.keysHi[place]);
      if (((place - home) & this.placeMask) >= ((place - hole) & this.placeMask)) {
        this.keysLo[hole] = this.keysLo[place];
        this.keysHi[hole] = this.keysHi[place];
        this.states[hole] = this.states[place];
        hole = place;
      }
      place = (place + 1) & this.placeMask;
    }
    this.states[hole] = SCOPE_UNKNOWN;
  }

  private placeOf(scopeLo: number, scopeHi: number): number {
    let place = this.homeOf(scopeLo, scopeHi);
    while (this.states[place] !== SCOPE_UNKNOWN) {
      if (this.keysLo[place] === scopeLo && this.keysHi[place] === scopeHi) break;
      place = (place + 1) & this.placeMask;
    }
    return place;
  }

  private homeOf(scopeLo: number, scopeHi: number): number {
    let hash = Math.imul(scopeLo, 0x9e3779b1) ^ Math.imul(scopeHi, 0x85ebca77);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & this.placeMask;
  }
}
