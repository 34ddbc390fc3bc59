// All path globs as one deterministic automaton over bytes: its time is linear in the path, whatever
// the globs (a regular expression takes seconds on hostile paths). The kernel can run the same table.
import { addGlob, createAutomaton, type Automaton } from './glob-parser.ts';

/**
 * States of the automaton. Globs of `*` between letters can need exponentially many: this many take at
 * most 2 MiB and some 100 ms to build. Overflow: an error at start that says so.
 */
export const AUTOMATON_STATES_MAX = 4096;

/** Bits of `accepts`: which lists have a glob that matches when the path ends in this state. */
export const ACCEPTS_EXCLUDE = 1;
export const ACCEPTS_INCLUDE = 2;

/** `transitions[state * classCount + classes[byte]]` is the next state; the first state is 0. */
export interface PathAutomaton {
  readonly classCount: number;
  readonly classes: Uint8Array;
  readonly transitions: Uint16Array;
  readonly accepts: Uint8Array;
}

/** Compiles both lists; throws an Error that names the glob, or the limit. */
export function compilePathAutomaton(exclude: readonly string[], include: readonly string[]): PathAutomaton {
  const automaton = createAutomaton();
  const acceptBits = new Map<number, number>();
  for (const glob of exclude) acceptBits.set(addGlob(automaton, glob), ACCEPTS_EXCLUDE);
  for (const glob of include) acceptBits.set(addGlob(automaton, glob), ACCEPTS_INCLUDE);
  const { classes, representatives } = compileClasses(automaton);
  const rows: number[][] = [];
  const accepts: number[] = [];
  const numbers = new Map<string, number>();
  const pending: number[][] = [];
  const numberOf = (states: number[]): number => {
    const key = states.join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    if (pending.length === AUTOMATON_STATES_MAX) {
      throw new Error(
        `the ${exclude.length} exclude and ${include.length} include globs need more than ` +
          `${AUTOMATON_STATES_MAX} states together; give fewer globs, or fewer * in each`,
      );
    }
    numbers.set(key, pending.length);
    accepts.push(states.reduce((bits, state) => bits | (acceptBits.get(state) ?? 0), 0));
    return pending.push(states) - 1;
  };
  numberOf(closure(automaton, [0]));
  for (let state = 0; state < pending.length; state += 1) {
    rows.push(
      representatives.map((byte) => numberOf(closure(automaton, step(automaton, pending[state], byte)))),
    );
  }
  return {
    classCount: representatives.length,
    classes,
    transitions: Uint16Array.from(rows.flat()),
    accepts: Uint8Array.from(accepts),
  };
}

/** Bytes that no edge tells apart share a class. */
function compileClasses(automaton: Automaton): { classes: Uint8Array; representatives: number[] } {
  const edges = automaton.byteEdges.flat();
  const classes = new Uint8Array(256);
  const representatives: number[] = [];
  const classOf = new Map<string, number>();
  for (let byte = 0; byte < 256; byte += 1) {
    const signature = edges.map((edge) => edge.set[byte]).join('');
    if (!classOf.has(signature)) classOf.set(signature, representatives.push(byte) - 1);
    classes[byte] = classOf.get(signature) as number;
  }
  return { classes, representatives };
}

function step(automaton: Automaton, states: number[], byte: number): number[] {
  return states.flatMap((state) =>
    automaton.byteEdges[state].filter((edge) => edge.set[byte] === 1).map((edge) => edge.to),
  );
}

function closure(automaton: Automaton, states: number[]): number[] {
  const reached = new Set(states);
  for (const state of reached) for (const to of automaton.emptyEdges[state]) reached.add(to);
  return [...reached].sort((a, b) => a - b);
}
