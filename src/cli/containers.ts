// `fdspan containers`: every container that the running collector has seen, what was decided of it and by which
// rule, and how many spans it made.
import { shortIdOf } from '../containers/resource.ts';
import { cutEnd, cutMiddle, escapeControls, padEnd, padStart } from '../telemetry/terminal-text.ts';
import { askAndPrint, type AskIo } from './ask-collector.ts';

/** One container of the collector's answer. */
export interface ContainerRow {
  readonly id: string;
  readonly name: string | null;
  readonly image: string | null;
  readonly runtime: string;
  readonly verdict: 'unjudged' | 'trace' | 'deny';
  /** `allow[0]`, `deny[2]`; null where no rule decided. */
  readonly rule: string | null;
  readonly isRunning: boolean;
  readonly spans: number;
  /** Pairs that a filter left out. */
  readonly filtered: number;
  readonly cgroupPath: string;
}

interface Column {
  readonly title: string;
  readonly columns: number;
  readonly text: (row: ContainerRow) => string;
  readonly isNumber?: boolean;
}

/** Short ids, and `mnt:4026532177` whole: its first digits are the same for all. */
const ID_COLUMNS = 14;

const COLUMNS: readonly Column[] = [
  { title: 'CONTAINER', columns: ID_COLUMNS, text: ({ id }) => shortIdOf(id) },
  { title: 'NAME', columns: 24, text: ({ name }) => name ?? '-' },
  { title: 'RUNTIME', columns: 10, text: ({ runtime }) => runtime },
  { title: 'IMAGE', columns: 28, text: ({ image }) => image ?? '-' },
  { title: 'VERDICT', columns: 8, text: ({ verdict, isRunning }) => (isRunning ? verdict : `${verdict}*`) },
  { title: 'RULE', columns: 9, text: ({ rule }) => rule ?? '-' },
  { title: 'SPANS', columns: 10, text: ({ spans }) => String(spans), isNumber: true },
  { title: 'FILTERED', columns: 10, text: ({ filtered }) => String(filtered), isNumber: true },
];
const PATH_COLUMNS = 60;
/** The kernel counts it in the slice of a trace, and tells it when that ends. */
const FILTERED_NOTE =
  'FILTERED may be as old as trace.window: the kernel tells it when a slice of a trace ends';

/** Returns the table; names and paths of containers are escaped before they are measured. */
export function containersText(rows: readonly ContainerRow[]): string {
  if (rows.length === 0) return 'no container seen';
  const title = [...COLUMNS.map((column) => cell(column, column.title)), 'CGROUP'].join(' ');
  const lines = rows
    .toSorted((a, b) => b.spans - a.spans)
    .map((row) =>
      [
        ...COLUMNS.map((column) => cell(column, column.text(row))),
        cutMiddle(escapeControls(row.cgroupPath), PATH_COLUMNS),
      ].join(' '),
    );
  const gone = rows.some(({ isRunning }) => !isRunning) ? ['* no longer running'] : [];
  return [title, ...lines, ...gone, FILTERED_NOTE].join('\n');
}

function cell({ columns, isNumber }: Column, text: string): string {
  const cut = cutEnd(escapeControls(text), columns);
  return isNumber === true ? padStart(cut, columns) : padEnd(cut, columns);
}

export function containers(args: readonly string[], io: AskIo): Promise<number> {
  return askAndPrint('containers', args, io, (answer) => containersText(answer as ContainerRow[]));
}
