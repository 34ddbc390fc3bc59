// All globs of the configuration as one deterministic automaton over bytes, in the form that the kernel runs too:
// struct filters of bpf/record.h.

/**
 * `cells[(row + classes[byte]) / 4]` is the next row, `cells[(row + acceptColumn) / 4]` a row's accept word. Rows,
 * classes and columns are offsets in bytes.
 */
export interface GlobTable {
  readonly classes: Uint16Array;
  readonly cells: Uint32Array;
  readonly acceptColumn: number;
  /** As acceptColumn: the rules of sampling that agree, by bit. */
  readonly rulesColumn: number;
  /** Where names begin; paths begin at row 0. */
  readonly nameRow: number;
  /** Where a path begins whose head was cut: only globs that may begin anywhere can match. */
  readonly cutPathRow: number;
}
