// What a format finds wrong with a value: as a whole, or item by item.

/** Names and indices from a key's value down to one item. */
export type Path = readonly (string | number)[];

export interface ValueProblem {
  readonly path: Path;
  /** What was written there. */
  readonly value: unknown;
  /** Goes on after the value: `must be …`, `isn't built yet …`. */
  readonly message: string;
}

/** Every problem of one value. */
export class ValueError extends Error {
  readonly problems: readonly ValueProblem[];

  constructor(problems: readonly ValueProblem[]) {
    super(problems.map(({ message }) => message).join('; '));
    this.problems = problems;
  }
}

/** Returns the problems that an error of a format tells; any other error completes "must be …". */
export function problemsOf(error: unknown, value: unknown): readonly ValueProblem[] {
  if (error instanceof ValueError) return error.problems;
  return [{ path: [], value, message: `must be ${(error as Error).message}` }];
}

/** Applies `change` to each item, and throws one ValueError for all that fail. */
export function changeEach<Key extends string | number, Result>(
  items: readonly (readonly [Key, unknown])[],
  change: (value: unknown, key: Key) => Result,
): [Key, Result][] {
  const changed: [Key, Result][] = [];
  const problems: ValueProblem[] = [];
  for (const [key, value] of items) {
    try {
      changed.push([key, change(value, key)]);
    } catch (error) {
      for (const { path, ...problem } of problemsOf(error, value))
        problems.push({ ...problem, path: [key, ...path] });
    }
  }
  if (problems.length > 0) throw new ValueError(problems);
  return changed;
}
