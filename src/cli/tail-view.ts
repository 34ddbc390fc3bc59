// What `fdspan tail` writes for each message: JSON lines, plain lines, or a table with a status line that
// stays at the bottom of the terminal.
import type { Writable } from 'node:stream';
import type { TailMessage, TailStats } from '../telemetry/control-protocol.ts';
import type { SpanRow } from '../telemetry/span-rows.ts';
import { DROPS } from '../telemetry/summary.ts';
import { escapeJsonControls } from '../telemetry/terminal-text.ts';
import { countText, TailTable } from './tail-table.ts';

export type TailForm = 'json' | 'plain' | 'terminal';

export interface TailViewOptions {
  readonly form: TailForm;
  readonly hasColors: boolean;
  /** 0: no limit. */
  readonly rowsMax: number;
  readonly nowMs?: () => number;
}

interface TerminalSize {
  readonly columns?: number;
  readonly rows?: number;
}

const COLUMNS_DEFAULT = 120;
const ROWS_DEFAULT = 24;

/** Lines of a screen that aren't rows: the header and the status line. */
const FRAME_ROWS = 2;

const CLEAR_LINE = '\r\x1b[2K';
const MS_PER_SECOND = 1000;

/** What was dropped since the stream began, by the reasons that are not the user's own wish. */
function dropsOf(counters: Readonly<Record<string, number>>): number {
  return DROPS.filter(({ stage, reason }) => stage !== 'filter' && reason !== 'unsampled').reduce(
    (sum, { reason }) => sum + (counters[reason] ?? 0),
    0,
  );
}

export class TailView {
  readonly #out: Writable & TerminalSize;
  readonly #options: TailViewOptions;
  readonly #table: TailTable;
  readonly #nowMs: () => number;
  #rows = 0;
  #rowsSinceHeader = Number.POSITIVE_INFINITY;
  #statusText = '';
  #stats: TailStats | null = null;
  #statsAtMs = 0;

  constructor(out: Writable & TerminalSize, options: TailViewOptions) {
    this.#out = out;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    const columns = options.form === 'terminal' ? (out.columns ?? COLUMNS_DEFAULT) : null;
    this.#table = new TailTable(columns, options.hasColors);
  }

  get isFull(): boolean {
    return this.#options.rowsMax > 0 && this.#rows >= this.#options.rowsMax;
  }

  /** Writes one message; resolves when the reader of stdout has room again. */
  async show(message: TailMessage): Promise<void> {
    if (this.#out.destroyed) return;
    const text = message.type === 'rows' ? this.#rowsText(message.rows) : this.#statsText(message.stats);
    if (text === '' || this.#out.write(text)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#out.off('drain', done).off('close', done).off('error', done);
        resolve();
      };
      this.#out.on('drain', done).on('close', done).on('error', done);
    });
  }

  /** Leaves the cursor on a line of its own. */
  end(): void {
    if (this.#statusText !== '' && !this.#out.destroyed) this.#out.write('\n');
  }

  /** What the reader missed, in one sentence; null when nothing. */
  missed(): string | null {
    const { skipped, dropped } = this.#stats ?? { skipped: 0, dropped: 0 };
    if (skipped + dropped === 0) return null;
    return `${skipped + dropped} spans were not shown (${skipped} above the rows a second, ${dropped} because of slow output)`;
  }

  #rowsText(rows: readonly SpanRow[]): string {
    const { rowsMax, form } = this.#options;
    const wanted = rowsMax > 0 ? rows.slice(0, rowsMax - this.#rows) : rows;
    this.#rows += wanted.length;
    if (wanted.length === 0) return '';
    if (form === 'json') return wanted.map((row) => `${escapeJsonControls(JSON.stringify(row))}\n`).join('');
    if (form === 'terminal') this.#table.resize(this.#out.columns ?? COLUMNS_DEFAULT);
    let text = form === 'terminal' ? CLEAR_LINE : '';
    for (const row of wanted) {
      text += this.#headerText();
      text += `${this.#table.row(row)}\n`;
      this.#rowsSinceHeader++;
    }
    return text + (form === 'terminal' ? this.#table.status(this.#statusText) : '');
  }

  /** Once off a terminal; on one, once a screenful. */
  #headerText(): string {
    const screenRows = (this.#out.rows ?? ROWS_DEFAULT) - FRAME_ROWS;
    const isDue =
      this.#options.form === 'terminal'
        ? this.#rowsSinceHeader >= Math.max(1, screenRows)
        : this.#rowsSinceHeader === Number.POSITIVE_INFINITY;
    if (!isDue) return '';
    this.#rowsSinceHeader = 0;
    return `${this.#table.header()}\n`;
  }

  #statsText(stats: TailStats): string {
    const previous = this.#stats;
    const nowMs = this.#nowMs();
    const seconds = (nowMs - this.#statsAtMs) / MS_PER_SECOND;
    const spansPerSecond = previous === null || seconds <= 0 ? 0 : (stats.spans - previous.spans) / seconds;
    this.#stats = stats;
    this.#statsAtMs = nowMs;
    if (this.#options.form !== 'terminal') return '';
    const { counters, skipped, dropped } = stats;
    const parts = [
      `${countText(Math.max(0, spansPerSecond))} spans/s`,
      `${countText(counters.still_open ?? 0)} open now`,
      `${countText(dropsOf(counters))} dropped`,
    ];
    if (skipped + dropped > 0) parts.push(`${countText(skipped + dropped)} not shown`);
    parts.push('Ctrl-C ends');
    this.#statusText = parts.join(' · ');
    const header = this.#rowsSinceHeader === Number.POSITIVE_INFINITY ? this.#headerText() : '';
    return `${CLEAR_LINE}${header}${this.#table.status(this.#statusText)}`;
  }
}
