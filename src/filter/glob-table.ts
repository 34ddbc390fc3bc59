// All globs as one deterministic automaton over bytes: its time is linear in the path, whatever the globs (a regular
// expression takes seconds on hostile paths). The kernel runs the same table; user space asks it only for tests.
import type { GlobTable } from '../model/glob-table.ts';
import { GLOB_CELLS } from '../model/record-layout.ts';
import { addGlob, addState, createAutomaton, type Automaton } from './glob-parser.ts';

/**
 * States of the automaton. Globs of `*` between letters can need exponentially many: this many take some 100 ms to
 * build. Overflow: a configuration error that says so, as for GLOB_CELLS.
 */
export const GLOB_STATES_MAX = 4096;
const CELL_BYTES = 4;
/** Stands for the head of a path that was cut: a byte that no path begins with. */
const CUT_HEAD = 1;

/** Globs that set these bits of the accept word where one of them matches. */
export interface GlobList {
  readonly globs: readonly string[];
  readonly accepts: number;
  /** The same of the rules of sampling. */
  readonly rules?: number;
}

/** What a state says of a text that ends in it. */
interface Words {
  readonly accepts: number;
  readonly rules: number;
}

const NONE: Words = { accepts: 0, rules: 0 };

/** Compiles all globs over paths and over names; throws an Error that names the glob, or the limit. */
export function compileGlobs(paths: readonly GlobList[], names: readonly GlobList[]): GlobTable {
  const automaton = createAutomaton();
  const nameStart = addState(automaton);
  const words = new Map<number, Words>();
  const add = ({ globs, accepts, rules = 0 }: GlobList, start: number): void => {
    for (const glob of globs) words.set(addGlob(automaton, glob, start), { accepts, rules });
  };
  for (const list of paths) add(list, 0);
  for (const list of names) add(list, nameStart);
  const { classes, representatives } = compileClasses(automaton);
  const columns = representatives.length + 2;
  const statesMax = Math.min(GLOB_STATES_MAX, Math.floor(GLOB_CELLS / columns));
  const states = new States(words, statesMax);
  states.numberOf(closure(automaton, [0]));
  const nameState = states.numberOf(closure(automaton, [nameStart]));
  const cells: number[] = [];
  for (let state = 0; state < states.sets.length; state += 1) {
    for (const byte of representatives) {
      const next = states.numberOf(closure(automaton, step(automaton, states.sets[state], byte)));
      cells.push(next * columns * CELL_BYTES);
    }
    cells.push(states.words[state].accepts, states.words[state].rules);
  }
  return {
    classes: classes.map((column) => column * CELL_BYTES),
    cells: Uint32Array.from(cells),
    acceptColumn: representatives.length * CELL_BYTES,
    rulesColumn: (representatives.length + 1) * CELL_BYTES,
    nameRow: nameState * columns * CELL_BYTES,
    cutPathRow: cells[classes[CUT_HEAD]],
  };
}

/** Runs the table over bytes, from a row, and returns the accept word. */
export function acceptsOf(
  table: GlobTable,
  row: number,
  bytes: Uint8Array,
  begin: number,
  end: number,
): number {
  const { cells, classes, acceptColumn } = table;
  let at = row;
  for (let index = begin; index < end; index += 1) at = cells[(at + classes[bytes[index]]) >>> 2];
  return cells[(at + acceptColumn) >>> 2];
}

/** The deterministic states: sets of the nondeterministic one's, numbered as they are met. */
class States {
  readonly sets: number[][] = [];
  readonly words: Words[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #wordsOf: ReadonlyMap<number, Words>;
  readonly #statesMax: number;

  constructor(wordsOf: ReadonlyMap<number, Words>, statesMax: number) {
    this.#wordsOf = wordsOf;
    this.#statesMax = statesMax;
  }

  numberOf(set: number[]): number {
    const key = set.join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.sets.length === this.#statesMax) {
      throw new Error(
        `the ${this.#wordsOf.size} globs over paths and names need more than ${this.#statesMax} states ` +
          'together; give fewer globs, or fewer * in each',
      );
    }
    this.#numbers.set(key, this.sets.length);
    const words = set.map((state) => this.#wordsOf.get(state) ?? NONE);
    this.words.push({
      accepts: words.reduce((bits, { accepts }) => bits | accepts, 0) >>> 0,
      rules: words.reduce((bits, { rules }) => bits | rules, 0) >>> 0,
    });
    return this.sets.push(set) - 1;
  }
}

/** Bytes that no edge tells apart share a class. */
function compileClasses(automaton: Automaton): { classes: Uint16Array; representatives: number[] } {
  const edges = automaton.byteEdges.flat();
  const classes = new Uint16Array(256);
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
