// `fdspan open`: the files that are open now, by the running collector: who has them, since when, how large they are.
import { parseArgs } from 'node:util';
import { compileGlobs } from '../filter/glob-table.ts';
import type { OpenFileRow, OpenFilesQuery, OpenFilesTotal } from '../model/open-file-row.ts';
import { askLines } from '../telemetry/control-client.ts';
import { ControlError } from '../telemetry/control-protocol.ts';
import { cutEnd, escapeControls, escapeJsonControls, padEnd, padStart } from '../telemetry/terminal-text.ts';
import type { AskIo } from './ask-collector.ts';
import { escapeLines, writeWhole } from './command-io.ts';
import { exitCodeOfArguments, exitCodeOfControl, SOCKET_OPTIONS, socketPathOf } from './control-socket.ts';
import { EXIT_OK, EXIT_USAGE } from './exit-codes.ts';
import { durationText } from './tail-table.ts';

const SHORT_ID_CHARACTERS = 12;
const BYTES_PER_STEP = 1024;
const SIZE_UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E'];

interface Column {
  readonly title: string;
  readonly columns: number;
  readonly text: (row: OpenFileRow) => string;
  readonly isNumber?: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: 'CONTAINER', columns: 16, text: containerText },
  { title: 'PID', columns: 7, text: ({ pid }) => String(pid), isNumber: true },
  { title: 'PROCESS', columns: 15, text: ({ process }) => process },
  { title: 'FD', columns: 8, text: fdText },
  { title: 'ACCESS', columns: 10, text: ({ access }) => access },
  { title: 'SINCE', columns: 20, text: ({ opened }) => `${opened.slice(0, '2026-01-01T00:00:00'.length)}Z` },
  { title: 'FOR', columns: 8, text: forText, isNumber: true },
  { title: 'SIZE', columns: 7, text: ({ size }) => sizeText(size), isNumber: true },
];

interface OpenArguments {
  readonly socketPath: string;
  readonly query: OpenFilesQuery;
  readonly isJson: boolean;
}

/** Runs the command and returns its exit code: 0, 64, 69 when no collector runs, 77 or 78. */
export async function open(args: readonly string[], io: AskIo): Promise<number> {
  let given: OpenArguments;
  try {
    given = readArguments(args, io.env);
  } catch (error) {
    io.stderr.write(`fdspan open: ${escapeLines((error as Error).message)}\n`);
    return exitCodeOfArguments(error, EXIT_USAGE);
  }
  const { socketPath, query, isJson } = given;
  const rows: OpenFileRow[] = [];
  try {
    const take = (line: unknown): void => void rows.push(...(line as readonly OpenFileRow[]));
    const total = (await askLines(socketPath, { command: 'open', ...query }, take)) as OpenFilesTotal;
    rows.sort((a, b) => b.open_ns - a.open_ns);
    await writeWhole(io.stdout, isJson ? jsonOf(rows) : openFilesText(rows));
    if (total.containers === 0)
      io.stderr.write(`fdspan open: no container has the name or id ${JSON.stringify(query.container)}\n`);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    io.stderr.write(`fdspan open: ${escapeLines(error.message)}\n`);
    return exitCodeOfControl(error);
  }
}

function readArguments(args: readonly string[], env: NodeJS.ProcessEnv): OpenArguments {
  const { values } = parseArgs({
    args: [...args],
    options: { ...SOCKET_OPTIONS, path: { type: 'string' }, container: { type: 'string' } },
    allowPositionals: false,
  });
  const { path, container } = values;
  // Tried here, so that a wrong one is a mistake of usage.
  if (path !== undefined) compileGlobs([{ globs: [path], accepts: 1 }], []);
  return {
    socketPath: socketPathOf(values, env),
    query: { ...(path === undefined ? {} : { path }), ...(container === undefined ? {} : { container }) },
    isJson: values.json ?? false,
  };
}

/** Returns an array with one row a line. */
function jsonOf(rows: readonly OpenFileRow[]): string {
  if (rows.length === 0) return '[]\n';
  return `[\n${rows.map((row) => escapeJsonControls(JSON.stringify(row))).join(',\n')}\n]\n`;
}

/** Returns the table; what comes from containers is escaped before it is measured. Paths are whole. */
export function openFilesText(rows: readonly OpenFileRow[]): string {
  if (rows.length === 0) return 'no open file\n';
  const title = [...COLUMNS.map((column) => cell(column, column.title)), 'PATH'].join(' ');
  const lines = rows.map((row) =>
    [...COLUMNS.map((column) => cell(column, column.text(row))), pathText(row)].join(' '),
  );
  const notes = rows.some(({ is_adopted: isAdopted }) => isAdopted)
    ? ['> open before fdspan started: at least so long']
    : [];
  return `${[title, ...lines, ...notes].join('\n')}\n`;
}

function cell({ columns, isNumber }: Column, text: string): string {
  const cut = cutEnd(escapeControls(text), columns);
  return isNumber === true ? padStart(cut, columns) : padEnd(cut, columns);
}

function containerText({ container, container_id: id }: OpenFileRow): string {
  if (container !== null && container !== '') return container;
  if (id !== null) return id.slice(0, SHORT_ID_CHARACTERS);
  return container === '' ? 'host' : '-';
}

function fdText({ fds, has_more_fds: hasMore }: OpenFileRow): string {
  return `${fds.join(',')}${hasMore ? '+' : ''}`;
}

function forText({ open_ns: openNs, is_adopted: isAdopted }: OpenFileRow): string {
  return `${isAdopted ? '>' : ''}${durationText(openNs)}`;
}

function pathText({ path, is_deleted: isDeleted }: OpenFileRow): string {
  return `${escapeControls(path)}${isDeleted ? ' (deleted)' : ''}`;
}

/** Shows bytes with three digits at most: `0`, `853`, `1.2K`, `37M`. */
function sizeText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= BYTES_PER_STEP && unit < SIZE_UNITS.length - 1) {
    size /= BYTES_PER_STEP;
    unit += 1;
  }
  return `${unit === 0 || size >= 10 ? size.toFixed(0) : size.toFixed(1)}${SIZE_UNITS[unit]}`;
}
