// Reports files that stay open, by spans: the first after `after`, then one each `every`. Looks at the table only when
// one can be due.
import type { HeldLook } from '../bpf/open-files.ts';

/** Reason: a look costs some milliseconds of CPU; a report may be that late. */
const SPACING_MS_MAX = 5000;
const SPACING_MS_MIN = 100;
/** Parts of the shorter interval by which a report may be late. */
const SPACING_PARTS = 10;
const NS_PER_MS = 1_000_000n;
/** Longest wait of a timer; it is set again after it. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface HeldReportsParts {
  /** 0: no reports. */
  readonly afterMs: number;
  /** 0: one report of each file. */
  readonly everyMs: number;
  /** Makes what is due; when the next one is, or null when the ring was full. */
  readonly report: (look: HeldLook) => Promise<bigint | null>;
  readonly bootNs: () => bigint;
  readonly onError: (error: unknown) => void;
}

export class HeldReports {
  readonly #parts: HeldReportsParts;
  readonly #spacingMs: number;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(parts: HeldReportsParts) {
    const { afterMs, everyMs } = parts;
    const shorterMs = everyMs === 0 ? afterMs : Math.min(afterMs, everyMs);
    this.#parts = parts;
    this.#spacingMs = Math.min(SPACING_MS_MAX, Math.max(SPACING_MS_MIN, shorterMs / SPACING_PARTS));
  }

  /** Begins; what an earlier fdspan knew may be due at once. */
  start(): void {
    if (this.#parts.afterMs > 0) this.#lookIn(this.#spacingMs);
  }

  /** Resolves when no look is going on; there is none after it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #lookIn(delayMs: number): void {
    if (this.#isStopped) return;
    const look = (): void => {
      this.#running = this.#look();
    };
    this.#timer = setTimeout(look, Math.min(delayMs, TIMER_MS_MAX));
  }

  async #look(): Promise<void> {
    const { afterMs, everyMs, report, bootNs, onError } = this.#parts;
    const begunNs = bootNs();
    let nextMs = this.#spacingMs;
    try {
      const dueNs = await report({
        afterNs: BigInt(Math.round(afterMs)) * NS_PER_MS,
        everyNs: BigInt(Math.round(everyMs)) * NS_PER_MS,
      });
      // What is opened from now on is due after `after` at the earliest.
      const dueMs = dueNs === null ? 0 : Math.min(Number(dueNs - begunNs) / 1e6, afterMs);
      nextMs = Math.max(this.#spacingMs, dueMs);
    } catch (error) {
      onError(error);
    }
    this.#lookIn(nextMs);
  }
}
