// fdspan's log: JSON lines on stderr, readable text on a terminal. A message that repeats is counted
// instead of written, so that no fault of a backend or a container can fill a disk. Logging never throws. What the
// stream can't take is counted, and told when it takes lines again; the stream's own `error` events are its owner's.
import { escapeControls, escapeJsonControls } from './terminal-text.ts';
import { toJson } from './log-value.ts';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  error(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  debug(msg: string, fields?: LogFields): void;
  /** Tells of the repeats that are counted and not yet told. Call it before the last line. */
  flush(): void;
}

export interface LogStream {
  /** Calls `done` with the error where the text can't be written, as Node's streams do. */
  write(text: string, done?: (error?: Error | null) => void): unknown;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly stream: LogStream;
  readonly isTerminal: boolean;
  /** 0 means no limit. */
  readonly repeatsPerMinuteMax?: number;
  readonly nowMs?: () => number;
}

/** Reason: ten lines show that and how a thing repeats; the rest is a number. Overflow: `repeated`. */
export const REPEATS_PER_MINUTE_MAX = 10;

/** Reason: messages are constants of the program, some hundred. Overflow: all counts are told and begin anew. */
const MESSAGES_MAX = 256;

const MINUTE_MS = 60_000;

/** Set by the logger; fields of the same names get an underscore. */
const OWN_FIELDS = new Set(['time', 'level', 'msg']);

interface Repeats {
  readonly level: LogLevel;
  readonly sinceMs: number;
  written: number;
  suppressed: number;
}

function jsonLine(timeMs: number, level: LogLevel, msg: string, fields: LogFields): string {
  let line = `{"time":"${new Date(timeMs).toISOString()}","level":"${level}","msg":${JSON.stringify(msg)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const key = JSON.stringify(OWN_FIELDS.has(name) ? `_${name}` : name);
    line += `,${key}:${toJson(value, level === 'debug')}`;
  }
  return `${escapeJsonControls(`${line}}`)}\n`;
}

const PLAIN_TEXT = /^[^\s"=]+$/;

function textLine(timeMs: number, level: LogLevel, msg: string, fields: LogFields): string {
  let line = `${new Date(timeMs).toISOString().slice(11, 23)} ${level.padEnd(5)} ${escapeControls(msg)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const json = toJson(value, level === 'debug');
    const isPlain = typeof value === 'string' && PLAIN_TEXT.test(value) && json.length === value.length + 2;
    line += ` ${escapeControls(name)}=${escapeControls(isPlain ? value : json)}`;
  }
  return `${line}\n`;
}

class StreamLogger implements Logger {
  readonly #options: LoggerOptions;
  readonly #levelIndex: number;
  readonly #repeatsMax: number;
  readonly #nowMs: () => number;
  readonly #repeats = new Map<string, Repeats>();
  /** Lines that could not be written since the last one that could, and why the last of them. */
  #unwritten = 0;
  #reason: unknown = null;

  constructor(options: LoggerOptions) {
    this.#options = options;
    this.#levelIndex = LOG_LEVELS.indexOf(options.level);
    this.#repeatsMax = options.repeatsPerMinuteMax ?? REPEATS_PER_MINUTE_MAX;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  error(msg: string, fields: LogFields = {}): void {
    this.#log('error', msg, fields);
  }

  warn(msg: string, fields: LogFields = {}): void {
    this.#log('warn', msg, fields);
  }

  info(msg: string, fields: LogFields = {}): void {
    this.#log('info', msg, fields);
  }

  debug(msg: string, fields: LogFields = {}): void {
    this.#log('debug', msg, fields);
  }

  flush(): void {
    const repeats = [...this.#repeats];
    this.#repeats.clear();
    for (const [msg, entry] of repeats) this.#tellRepeats(msg, entry);
  }

  #log(level: LogLevel, msg: string, fields: LogFields): void {
    if (LOG_LEVELS.indexOf(level) > this.#levelIndex) return;
    if (this.#repeatsMax > 0 && !this.#isWritten(level, msg)) return;
    this.#write(level, msg, fields);
  }

  #isWritten(level: LogLevel, msg: string): boolean {
    const nowMs = this.#nowMs();
    this.#tellOver(nowMs);
    const entry = this.#repeats.get(msg);
    if (entry === undefined) {
      if (this.#repeats.size >= MESSAGES_MAX) this.flush();
      this.#repeats.set(msg, { level, sinceMs: nowMs, written: 1, suppressed: 0 });
      return true;
    }
    if (entry.written < this.#repeatsMax) {
      entry.written++;
      return true;
    }
    entry.suppressed++;
    return false;
  }

  /** Entries are in the order of their start, so the first young one ends the walk. */
  #tellOver(nowMs: number): void {
    for (const [msg, entry] of this.#repeats) {
      if (nowMs - entry.sinceMs < MINUTE_MS && nowMs >= entry.sinceMs) return;
      this.#repeats.delete(msg);
      this.#tellRepeats(msg, entry);
    }
  }

  #tellRepeats(msg: string, entry: Repeats): void {
    if (entry.suppressed > 0) this.#write(entry.level, msg, { repeated: entry.suppressed });
  }

  #write(level: LogLevel, msg: string, fields: LogFields): void {
    this.#put(level, msg, fields, (error) => {
      if (error === null) this.#tellUnwritten();
      else this.#miss(error);
    });
  }

  #put(level: LogLevel, msg: string, fields: LogFields, settled: (error: unknown) => void): void {
    const form = this.#options.isTerminal ? textLine : jsonLine;
    try {
      const text = form(this.#nowMs(), level, msg, fields);
      this.#options.stream.write(text, (error) => settled(error ?? null));
    } catch (error) {
      settled(error);
    }
  }

  #miss(error: unknown): void {
    this.#unwritten += 1;
    this.#reason = error;
  }

  #tellUnwritten(): void {
    const lines = this.#unwritten;
    if (lines === 0) return;
    const error = this.#reason;
    this.#unwritten = 0;
    this.#put('warn', 'lines of this log could not be written', { lines, error }, (again) => {
      if (again === null) return;
      this.#unwritten += lines;
      this.#reason = again;
    });
  }
}

/**
 * Creates a logger. The same message is written at most `repeatsPerMinuteMax` times a minute; the rest
 * is counted and told in one line (`repeated`) when the minute is over and anything is logged, or at `flush`.
 */
export function createLogger(options: LoggerOptions): Logger {
  return new StreamLogger(options);
}
