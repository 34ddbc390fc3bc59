// What is known of a scope, in one number: from 0 on the slot of the container that is traced, else one of these.
import { PAIR_ALLOWED } from './record-layout.ts';

export const SCOPE_UNKNOWN = -1;
export const SCOPE_WAITING = -2;
/** Not traced. Below it are containers that were allowed before: pairs that they opened then are theirs still. */
export const SCOPE_IGNORED = -3;

/** The state of a scope that isn't traced any more; `slot` is what its container keeps, 0: none. */
export function ignoredState(slot: number): number {
  return SCOPE_IGNORED - slot;
}

/** The state of a pair's scope as it was at the open, which alone asks the rules; `flags` are the record's. */
export function stateAtOpen(state: number, flags: number): number {
  if (state >= SCOPE_IGNORED) return state;
  return (flags & PAIR_ALLOWED) === 0 ? SCOPE_IGNORED : SCOPE_IGNORED - state;
}
