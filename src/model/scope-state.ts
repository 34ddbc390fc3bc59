// What is known of a scope, in one number: from 0 on the slot of the container that is traced, else one of these.

export const SCOPE_UNKNOWN = -1;
export const SCOPE_WAITING = -2;
/** Not traced. Below it are containers that were traced before: what they opened then is theirs still. */
export const SCOPE_IGNORED = -3;

/** The state of a scope that is not to be traced any more; `before` is its state until now, `slot` its container's. */
export function deniedState(before: number, slot: number): number {
  const wasTraced = before >= 0 || before < SCOPE_IGNORED;
  return wasTraced ? SCOPE_IGNORED - slot : SCOPE_IGNORED;
}

/** The state by which a pair is judged. The kernel tracks nothing of a denied container: it was opened before. */
export function stateAtOpen(state: number): number {
  return state < SCOPE_IGNORED ? SCOPE_IGNORED - state : state;
}
