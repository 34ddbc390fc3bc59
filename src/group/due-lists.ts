// When live traces are due: lists by time, each of a fraction of the longest wait. A trace is due once its list's time is over.

const NONE = -1;
/** Lists that the longest wait takes; the rest is room for times that come before others that are there already. */
const LISTS_OF_WAIT = 96;
const LISTS = 128;
const WIDTH_MS_MIN = 250;

export class DueLists {
  private readonly widthMs: number;
  private readonly firsts = new Int32Array(LISTS).fill(NONE);
  private readonly lasts = new Int32Array(LISTS).fill(NONE);
  private readonly lists: Uint8Array;
  private readonly before: Int32Array;
  private readonly after: Int32Array;
  private count = 0;
  /** The earliest time that may hold a trace, as a number of widths since the boot. */
  private firstTime = 0;

  /** @param waitMsMax the longest time from a trace's begin to its due time. */
  constructor(places: number, waitMsMax: number) {
    this.widthMs = Math.max(WIDTH_MS_MIN, Math.ceil(waitMsMax / LISTS_OF_WAIT));
    this.lists = new Uint8Array(places);
    this.before = new Int32Array(places);
    this.after = new Int32Array(places);
  }

  /** Adds a trace; one that was due before what is there is due at once. */
  add(index: number, dueMs: number): void {
    const time = Math.floor(dueMs / this.widthMs);
    if (this.count === 0) this.firstTime = Math.max(0, time - LISTS_OF_WAIT);
    const within = Math.min(Math.max(time, this.firstTime), this.firstTime + LISTS - 1);
    const list = within % LISTS;
    const last = this.lasts[list];
    this.lists[index] = list;
    this.before[index] = last;
    this.after[index] = NONE;
    if (last === NONE) this.firsts[list] = index;
    else this.after[last] = index;
    this.lasts[list] = index;
    this.count += 1;
  }

  remove(index: number): void {
    const list = this.lists[index];
    const before = this.before[index];
    const after = this.after[index];
    if (before === NONE) this.firsts[list] = after;
    else this.after[before] = after;
    if (after === NONE) this.lasts[list] = before;
    else this.before[after] = before;
    this.count -= 1;
  }

  /** Returns a trace that is due, or -1; for Infinity the one that is due first. */
  due(nowMs: number): number {
    if (this.count === 0) return NONE;
    const now = nowMs === Infinity ? this.firstTime + LISTS : Math.floor(nowMs / this.widthMs);
    for (let step = 0; step < LISTS && this.firstTime < now; step += 1) {
      const first = this.firsts[this.firstTime % LISTS];
      if (first !== NONE) return first;
      this.firstTime += 1;
    }
    return NONE;
  }

  /** Returns the trace behind this one in its list, or the first of the next lists; -1 at the end. For a look at all. */
  next(index: number): number {
    let list = index === NONE ? 0 : this.lists[index] + 1;
    if (index !== NONE && this.after[index] !== NONE) return this.after[index];
    for (; list < LISTS; list += 1) if (this.firsts[list] !== NONE) return this.firsts[list];
    return NONE;
  }
}
