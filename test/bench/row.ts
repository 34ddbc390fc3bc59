// One measured number with what it is compared with, and how rows are printed.

export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  /** What `value` is divided by to give `ratio`; null where the number stands alone. */
  readonly yardstick: string | null;
  readonly ratio: number | null;
  /** In words, as in the documents; null where there is none. */
  readonly budget: string | null;
  /** null where it can't be told on this machine. */
  readonly met: boolean | null;
}

/** What could not be measured here, and why. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface BenchResult {
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
}

/** Returns the middle, the least and the most of some readings. */
export function spread(readings: readonly number[]): { value: number; min: number; max: number } {
  const sorted = readings.toSorted((a, b) => a - b);
  return { value: sorted[sorted.length >> 1], min: sorted[0], max: sorted[sorted.length - 1] };
}

/** Makes a row of readings; `yardstick` gives the divisor, `isMet` judges value and ratio. */
export function rowOf(
  name: string,
  unit: string,
  readings: readonly number[],
  judged: {
    readonly yardstick?: { readonly name: string; readonly value: number };
    readonly budget?: string;
    readonly isMet?: (value: number, ratio: number) => boolean;
  } = {},
): Row {
  const { value, min, max } = spread(readings);
  const ratio = judged.yardstick === undefined ? null : value / judged.yardstick.value;
  return {
    name,
    value,
    unit,
    min,
    max,
    yardstick: judged.yardstick?.name ?? null,
    ratio,
    budget: judged.budget ?? null,
    met: judged.isMet === undefined ? null : judged.isMet(value, ratio ?? NaN),
  };
}

/** Returns the rows as a Markdown table, which a terminal shows well too. */
export function tableOf(rows: readonly Row[]): string {
  const head = ['what', 'value', 'from … to', 'ratio', 'budget', 'met'];
  const lines = rows.map((row) => [
    row.name,
    `${digits(row.value)} ${row.unit}`,
    `${digits(row.min)} … ${digits(row.max)}`,
    row.ratio === null ? '' : `${digits(row.ratio)} × ${row.yardstick}`,
    row.budget ?? '',
    row.met === null ? '' : row.met ? 'yes' : 'NO',
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => line[column].length)),
  );
  const print = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  return [print(head), print(widths.map((width) => '-'.repeat(width))), ...lines.map(print)].join('\n');
}

function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
