// What a key's value may be: each format reads a value as users write it and gives it in the
// program's units, or tells everything that is wrong with it. Formats never keep state.

/** One thing that is wrong with a value; `at` leads to the item of a list or map. */
export interface Fault {
  readonly message: string;
  readonly at: readonly (string | number)[];
}

export class FormatError extends Error {
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[] | string) {
    const list = typeof faults === 'string' ? [{ message: faults, at: [] }] : faults;
    super(list.map(({ message }) => message).join('; '));
    this.faults = list;
  }
}

export interface Format<T> {
  /** For the documents: what may be written, with its bounds. */
  readonly text: string;
  /** How the text of a variable or of --set is read: as it is, or as YAML. */
  readonly form: 'plain' | 'yaml';
  readonly isNullable?: boolean;
  /** Throws a FormatError. */
  parse(value: unknown): T;
}

/** Reason: enough to find the value again in a file, too little to fill a terminal. */
const SHOWN_CHARS_MAX = 60;

/** Returns the value for an error's text: one line, cut, and never a list's or map's content. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = typeof value === 'string' ? value : String(value);
  const cut = text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
  return typeof value === 'string' ? JSON.stringify(cut) : cut;
}

/** Accepts null besides what the format accepts. */
export function nullable<T>(format: Format<T>): Format<T | null> {
  return {
    text: `${format.text}, or null`,
    form: format.form,
    isNullable: true,
    parse: (value) => (value === null ? null : format.parse(value)),
  };
}

/** Reads each item of a list, and tells the faults of all of them. */
export function parseItems<T>(
  value: unknown,
  what: string,
  parseItem: (item: unknown, index: number) => T,
): T[] {
  if (!Array.isArray(value)) throw new FormatError(`must be a list of ${what}, not ${show(value)}`);
  if (value.length > ITEMS_MAX) {
    throw new FormatError(`has ${value.length} items: at most ${ITEMS_MAX} are allowed`);
  }
  const faults: Fault[] = [];
  const items: T[] = [];
  value.forEach((item: unknown, index) => collect(faults, index, () => items.push(parseItem(item, index))));
  if (faults.length > 0) throw new FormatError(faults);
  return items;
}

/** Runs a part of a format, and keeps its faults with the place where they are. */
export function collect(faults: Fault[], place: string | number, part: () => void): void {
  try {
    part();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    for (const { message, at } of error.faults) faults.push({ message, at: [place, ...at] });
  }
}

/** Reason: every item costs a comparison for each container or a state of the path automaton. */
export const ITEMS_MAX = 1000;

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
