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

export interface HeldTimes {
  /** 0: no reports. */
  readonly afterMs: number;
  /** 0: one report of each file. */
  readonly everyMs: number;
}

export interface HeldReportsParts extends HeldTimes {
  /** Makes what is due; when the next one is, or null when the ring was full. */
  readonly report: (look: HeldLook) => Promise<bigint | null>;
  readonly bootNs: () => bigint;
  readonly onError: (error: unknown) => void;
}

export class HeldReports {
  readonly #parts: HeldReportsParts;
  #times: HeldTimes;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStarted = false;
  #isLooking = false;
  #isStopped = false;

  constructor(parts: HeldReportsParts) {
    this.#parts = parts;
    this.#times = parts;
  }

  /** Begins; what an earlier fdspan knew may be due at once. */
  start(): void {
    this.#isStarted = true;
    this.#lookIn(spacingMsOf(this.#times));
  }

  /** Other times from now on. When a file was reported last is kept with the file: it gets no report twice. */
  change(times: HeldTimes): void {
    this.#times = times;
    // A look that goes on sees it at its end.
    if (!this.#isStarted || this.#isLooking) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#lookIn(spacingMsOf(times));
  }

  /** Resolves when no look is going on; there is none after it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #lookIn(delayMs: number): void {
    if (this.#isStopped || this.#times.afterMs === 0) return;
    const look = (): void => {
      this.#running = this.#look();
    };
    this.#timer = setTimeout(look, Math.min(delayMs, TIMER_MS_MAX));
  }

  async #look(): Promise<void> {
    const times = this.#times;
    this.#isLooking = true;
    let nextMs = spacingMsOf(times);
    try {
      nextMs = Math.max(nextMs, await this.#report(times));
    } catch (error) {
      this.#parts.onError(error);
    }
    this.#isLooking = false;
    this.#lookIn(times === this.#times ? nextMs : spacingMsOf(this.#times));
  }

  /** Makes what is due; in how many milliseconds the next one is. */
  async #report({ afterMs, everyMs }: HeldTimes): Promise<number> {
    const { report, bootNs } = this.#parts;
    const begunNs = bootNs();
    const dueNs = await report({
      afterNs: BigInt(Math.round(afterMs)) * NS_PER_MS,
      everyNs: BigInt(Math.round(everyMs)) * NS_PER_MS,
    });
    // What is opened from now on is due after `after` at the earliest.
    return dueNs === null ? 0 : Math.min(Number(dueNs - begunNs) / 1e6, afterMs);
  }
}

function spacingMsOf({ afterMs, everyMs }: HeldTimes): number {
  const shorterMs = everyMs === 0 ? afterMs : Math.min(afterMs, everyMs);
  return Math.min(SPACING_MS_MAX, Math.max(SPACING_MS_MIN, shorterMs / SPACING_PARTS));
}
