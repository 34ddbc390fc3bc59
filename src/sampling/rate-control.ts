// Meets target rates by thresholds, after OpenTelemetry's ConsistentRateLimitingSampler: the rate of opens is a decaying
// mean, and the threshold is what lets the target through of it. What passed too much or too little is made up for.

/** Reason: a load that grows must not pass for long; one that falls may be a pause. */
const RISE_S = 0.1;
const FALL_S = 3;
/** In which time a surplus is paid back. Reason: slices of 1,000 opens pass or fail whole, so a shorter one chases noise. */
const REPAY_S = 5;
const CORRECTION_MIN = 0.1;
const CORRECTION_MAX = 2;
/** Seconds of the target that are carried over, at most. */
const DEBT_MAX_S = 30;
const CREDIT_MAX_S = 5;
const IDLE_RATE = 1e-6;

/** What was counted of one slot, since any moment; it only grows. */
export interface Offers {
  opens: number;
  weight: number;
  passed: number;
}

/** One target: how far above or below it was. */
class Balance {
  #surplus = 0;

  /** What to aim at now, to be at the target on the whole. */
  aim(target: number): number {
    const correction = 1 - this.#surplus / (target * REPAY_S);
    return target * Math.min(CORRECTION_MAX, Math.max(CORRECTION_MIN, correction));
  }

  /** `isLimiting`: this target's threshold decides. Else less passes than it would let, which is no credit. */
  settle(passed: number, target: number, seconds: number, isLimiting: boolean): void {
    const surplus = this.#surplus + passed - target * seconds;
    const least = isLimiting ? -target * CREDIT_MAX_S : Math.min(0, this.#surplus);
    this.#surplus = Math.min(target * DEBT_MAX_S, Math.max(least, surplus));
  }

  reset(): void {
    this.#surplus = 0;
  }
}

export interface RateTargets {
  readonly container: number;
  readonly host: number;
}

export class RateControl {
  /** By slot: opens a second and how many of them rules and ratio let through, as decaying means. */
  readonly #opens: Float64Array;
  readonly #weights: Float64Array;
  readonly #last: Float64Array;
  readonly #balances: Balance[];
  readonly #hostBalance = new Balance();
  readonly #offers: Offers = { opens: 0, weight: 0, passed: 0 };
  /** Probabilities in force, by slot and of the host. */
  readonly probabilities: Float64Array;
  hostProbability = 1;
  targets: RateTargets = { container: 0, host: 0 };

  constructor(slotsMax: number) {
    this.#opens = new Float64Array(slotsMax);
    this.#weights = new Float64Array(slotsMax);
    this.#last = new Float64Array(3 * slotsMax);
    this.#balances = Array.from({ length: slotsMax }, () => new Balance());
    this.probabilities = new Float64Array(slotsMax).fill(1);
  }

  /** Another container gets the slot. What is still counted for the last one counts as the new one's. */
  reset(slot: number): void {
    this.#opens[slot] = 0;
    this.#weights[slot] = 0;
    this.#balances[slot].reset();
    this.probabilities[slot] = 1;
  }

  /** Takes the counts of `slots` and finds the probabilities for the next period. */
  step(slots: readonly number[], read: (slot: number, offers: Offers) => void, seconds: number): void {
    const { container, host } = this.targets;
    let passedOfAll = 0;
    for (const slot of slots) {
      const passed = this.#observe(slot, read, seconds);
      passedOfAll += passed;
      if (container > 0) this.#stepSlot(slot, passed, seconds);
      else this.probabilities[slot] = 1;
    }
    if (host === 0) {
      this.hostProbability = 1;
      return;
    }
    this.#hostBalance.settle(passedOfAll, host, seconds, this.hostProbability < 1);
    this.hostProbability = this.#commonProbability(slots, this.#hostBalance.aim(host));
  }

  /** Brings the means of a slot up to date, and returns what passed since the last step. */
  #observe(slot: number, read: (slot: number, offers: Offers) => void, seconds: number): number {
    const offers = this.#offers;
    read(slot, offers);
    const at = 3 * slot;
    const opens = (offers.opens - this.#last[at]) / seconds;
    const weight = (offers.weight - this.#last[at + 1]) / seconds;
    const passed = offers.passed - this.#last[at + 2];
    this.#last[at] = offers.opens;
    this.#last[at + 1] = offers.weight;
    this.#last[at + 2] = offers.passed;
    this.#opens[slot] = mean(this.#opens[slot], opens, seconds);
    this.#weights[slot] = Math.min(this.#opens[slot], mean(this.#weights[slot], weight, seconds));
    return passed;
  }

  #stepSlot(slot: number, passed: number, seconds: number): void {
    const { container } = this.targets;
    const before = this.probabilities[slot];
    this.#balances[slot].settle(passed, container, seconds, before < 1 && before <= this.hostProbability);
    const opens = this.#opens[slot];
    const wanted = opens < IDLE_RATE ? 1 : this.#balances[slot].aim(container) / opens;
    this.probabilities[slot] = wanted < this.#ratioOf(slot) ? wanted : 1;
  }

  #ratioOf(slot: number): number {
    return this.#opens[slot] < IDLE_RATE ? 1 : this.#weights[slot] / this.#opens[slot];
  }

  /** The probability by which all slots together give a rate, where none gives more than it would by itself. */
  #commonProbability(slots: readonly number[], rate: number): number {
    const steps = slots
      .map((slot) => ({
        opens: this.#opens[slot],
        most: Math.min(this.probabilities[slot], this.#ratioOf(slot)),
      }))
      .sort((one, other) => one.most - other.most);
    let rest = rate;
    let opens = steps.reduce((sum, step) => sum + step.opens, 0);
    for (const step of steps) {
      if (opens * step.most > rest) return rest / opens;
      rest -= step.opens * step.most;
      opens -= step.opens;
    }
    return 1;
  }
}

function mean(before: number, now: number, seconds: number): number {
  const time = now > before ? RISE_S : FALL_S;
  return before + (now - before) * (1 - Math.exp(-seconds / time));
}
