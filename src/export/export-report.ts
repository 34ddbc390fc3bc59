// What the export stage says in the log: each trouble once, then at most once a minute with its count.
import type { ExportLog } from './export-options.ts';
import type { Retryable } from './send-result.ts';

const REPEAT_INTERVAL_MS = 60_000;

/** Different troubles told apart; a backend that puts a number into each text must not fill the memory. */
const TROUBLES_MAX = 64;

const SPOOL_CURES: Readonly<Record<string, string>> = {
  ENOSPC: 'free space on the disk of export.spool.dir, or lower export.spool.bytes_max',
  EDQUOT: 'raise the quota on the disk of export.spool.dir, or lower export.spool.bytes_max',
  EROFS: 'mount the disk of export.spool.dir writable, or set another folder',
  EACCES: 'make export.spool.dir writable for fdspan',
  EPERM: 'make export.spool.dir writable for fdspan',
  ENOTDIR: 'set export.spool.dir to a folder',
  SPOOL_FULL: 'raise export.spool.bytes_max',
  SPOOL_HANGS: 'see what the disk of export.spool.dir waits for, or set another folder',
  EIO: 'check the disk of export.spool.dir',
  EMFILE: 'raise the limit of open files (LimitNOFILE= of the unit)',
};

interface Trouble {
  toldAtMs: number;
  timesUntold: number;
  spansUntold: number;
}

interface Outage {
  readonly sinceMs: number;
  toldAtMs: number;
  failures: number;
  /** Those that were told: a few texts of this program's, never a backend's. */
  readonly cures: Set<string>;
}

export class ExportReport {
  readonly #log: ExportLog;
  readonly #endpoint: string;
  readonly #now: () => number;
  readonly #troubles = new Map<string, Trouble>();
  #outage: Outage | null = null;

  constructor(log: ExportLog, endpoint: string, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#endpoint = endpoint;
    this.#now = now;
  }

  /** Called for each retryable result. One that asks for another cure than those before is told at once. */
  failed(result: Retryable, queuedSpans: number, queuedBytes: number): void {
    const now = this.#now();
    const fields = { endpoint: this.#endpoint, reason: result.reason, cure: result.cure };
    if (this.#outage === null) {
      this.#outage = { sinceMs: now, toldAtMs: now, failures: 1, cures: new Set([result.cure]) };
      this.#log.warn('the backend does not take spans; they wait and are sent again', fields);
      return;
    }
    this.#outage.failures += 1;
    const isNews = !this.#outage.cures.has(result.cure);
    if (!isNews && now - this.#outage.toldAtMs < REPEAT_INTERVAL_MS) return;
    this.#outage.cures.add(result.cure);
    this.#outage.toldAtMs = now;
    const { failures, sinceMs } = this.#outage;
    this.#log.warn('the backend still does not take spans', {
      ...fields,
      failures,
      for_s: Math.round((now - sinceMs) / 1000),
      queued_spans: queuedSpans,
      queued_bytes: queuedBytes,
    });
  }

  /** Called for each answer that shows the backend at work. */
  worked(): void {
    if (this.#outage === null) return;
    const { failures, sinceMs } = this.#outage;
    const downMs = Math.round(this.#now() - sinceMs);
    this.#outage = null;
    this.#log.info('the backend takes spans again', { endpoint: this.#endpoint, failures, down_ms: downMs });
  }

  /** Called for each trouble that isn't an outage: refused spans, dropped ones, odd answers. */
  trouble(
    message: string,
    reason: string,
    fields: Record<string, unknown>,
    spans: number,
    kind = reason.replace(/[0-9]+/g, '#'),
  ): void {
    const trouble = this.#troubleOf(`${message}\n${kind}`);
    trouble.timesUntold += 1;
    trouble.spansUntold += spans;
    const now = this.#now();
    if (now - trouble.toldAtMs < REPEAT_INTERVAL_MS) return;
    const { timesUntold, spansUntold } = trouble;
    trouble.toldAtMs = now;
    trouble.timesUntold = 0;
    trouble.spansUntold = 0;
    this.#log.warn(message, {
      endpoint: this.#endpoint,
      reason,
      ...fields,
      times: timesUntold,
      spans: spansUntold,
    });
  }

  /** Called for each trouble with the spool: spans go on without it. */
  spoolFailed(what: string, error: unknown): void {
    const { message, code = '' } = error as NodeJS.ErrnoException;
    const cure = SPOOL_CURES[code] ?? 'check export.spool.dir and its disk';
    // The text names a file, and each time another one.
    this.trouble(`the spool: ${what}`, message, { cure }, 0, code === '' ? undefined : code);
  }

  #troubleOf(key: string): Trouble {
    const bounded = this.#troubles.has(key) || this.#troubles.size < TROUBLES_MAX ? key : 'others';
    let trouble = this.#troubles.get(bounded);
    if (trouble === undefined) {
      trouble = { toldAtMs: -Infinity, timesUntold: 0, spansUntold: 0 };
      this.#troubles.set(bounded, trouble);
    }
    return trouble;
  }
}
