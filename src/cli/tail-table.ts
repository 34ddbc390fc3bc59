// The table that `fdspan tail` draws: rows and the status line as text of a given width. Every text of a
// container is escaped before it is measured.
import type { SpanRow } from '../telemetry/span-rows.ts';
import { cutEnd, cutMiddle, escapeControls, padEnd, padStart } from '../telemetry/terminal-text.ts';

const NS_PER_US = 1000;
const NS_PER_MS = 1_000_000;
const NS_PER_SECOND = 1_000_000_000;
const SECONDS_PER_MINUTE = 60;
const MINUTES_PER_HOUR = 60;
const HOURS_PER_DAY = 24;

const THREE_DIGITS = 3;

/** Three digits at most, without an exponent. */
function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Shows a duration with three digits and a unit: `853ns`, `12.4ms`, `3m07s`, `2d03h`. */
export function durationText(durationNs: number): string {
  if (durationNs < 0) return `-${durationText(-durationNs)}`;
  if (durationNs < NS_PER_US) return `${durationNs}ns`;
  if (durationNs < NS_PER_MS * 0.9995) return `${digits(durationNs / NS_PER_US)}µs`;
  if (durationNs < NS_PER_SECOND * 0.9995) return `${digits(durationNs / NS_PER_MS)}ms`;
  const seconds = durationNs / NS_PER_SECOND;
  if (seconds < SECONDS_PER_MINUTE) return `${digits(seconds)}s`;
  const minutes = Math.floor(seconds / SECONDS_PER_MINUTE);
  if (minutes < MINUTES_PER_HOUR) return `${minutes}m${twoDigits(seconds % SECONDS_PER_MINUTE)}s`;
  const hours = Math.floor(minutes / MINUTES_PER_HOUR);
  if (hours < HOURS_PER_DAY) return `${hours}h${twoDigits(minutes % MINUTES_PER_HOUR)}m`;
  return `${Math.floor(hours / HOURS_PER_DAY)}d${twoDigits(hours % HOURS_PER_DAY)}h`;
}

function twoDigits(value: number): string {
  return String(Math.floor(value)).padStart(2, '0');
}

const COLUMNS = { time: 12, container: 16, process: 14, pid: 7, access: 6, duration: 7, end: 6 } as const;

/** Reason: a path shorter than this tells nothing; on a narrower terminal lines wrap. */
const PATH_COLUMNS_MIN = 20;

const ACCESS_TEXT: Readonly<Record<string, string>> = { read: 'read', write: 'write', read_write: 'rd+wr' };
const END_TEXT: Readonly<Record<string, string>> = { close_range: 'range' };

const STYLES = {
  dim: '\x1b[2m',
  bold: '\x1b[1m',
  red: '\x1b[31m',
  yellow: '\x1b[33m',
  cyan: '\x1b[36m',
} as const;
const STYLE_END = '\x1b[0m';

export class TailTable {
  readonly #hasColors: boolean;
  #columns: number | null;

  /** `columns` null: not a terminal, and paths are whole. */
  constructor(columns: number | null, hasColors: boolean) {
    this.#columns = columns;
    this.#hasColors = hasColors;
  }

  resize(columns: number): void {
    this.#columns = columns;
  }

  header(): string {
    const cells = this.#cells('TIME', 'CONTAINER', 'PROCESS', 'PID', 'ACCESS', 'DURATION', 'END');
    return this.#style('bold', `${cells.join(' ')} PATH`);
  }

  row(row: SpanRow): string {
    const end = row.error === '' ? (END_TEXT[row.reason] ?? row.reason) : row.error;
    const cells = this.#cells(
      row.time.slice('2026-01-01T'.length, '2026-01-01T00:00:00.000'.length),
      row.container === '' ? 'host' : row.container,
      row.process,
      String(row.pid),
      ACCESS_TEXT[row.access] ?? row.access,
      durationText(row.duration_ns),
      end,
    );
    cells[0] = this.#style('dim', cells[0]);
    cells[1] = this.#style('cyan', cells[1]);
    if (row.error !== '') cells[6] = this.#style('red', cells[6]);
    else if (row.reason !== 'close') cells[6] = this.#style('yellow', cells[6]);
    return `${cells.join(' ')} ${this.#path(row.path)}`;
  }

  /** The line below the table, cut to the terminal. */
  status(text: string): string {
    const columns = this.#columns ?? Number.POSITIVE_INFINITY;
    return this.#style('dim', cutEnd(escapeControls(text), columns - 1));
  }

  #cells(
    time: string,
    container: string,
    process: string,
    pid: string,
    access: string,
    duration: string,
    end: string,
  ): string[] {
    return [
      left(time, COLUMNS.time),
      left(container, COLUMNS.container),
      left(process, COLUMNS.process),
      right(pid, COLUMNS.pid),
      left(access, COLUMNS.access),
      right(duration, COLUMNS.duration + 1),
      left(end, COLUMNS.end),
    ];
  }

  #path(path: string): string {
    const escaped = escapeControls(path);
    if (this.#columns === null) return escaped;
    const cells = Object.values(COLUMNS);
    const used = cells.reduce((sum, columns) => sum + columns + 1, 1);
    return cutMiddle(escaped, Math.max(PATH_COLUMNS_MIN, this.#columns - used));
  }

  #style(style: keyof typeof STYLES, text: string): string {
    return this.#hasColors ? `${STYLES[style]}${text}${STYLE_END}` : text;
  }
}

function left(text: string, columns: number): string {
  return padEnd(cutEnd(escapeControls(text), columns), columns);
}

function right(text: string, columns: number): string {
  return padStart(cutEnd(escapeControls(text), columns), columns);
}

/** Shows a count with its unit: `950`, `12.3k`, `4.50M`. */
export function countText(count: number): string {
  if (count < 1000) return count.toFixed(0);
  const power = Math.min(2, Math.floor(Math.log10(count) / THREE_DIGITS));
  return `${digits(count / 1000 ** power)}${['', 'k', 'M'][power]}`;
}
