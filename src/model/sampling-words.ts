// How to sample, as words of memory: struct sampling and an array of struct slot_sampling of bpf/record.h. One copy is
// the kernel's, mapped; one is shared with the pump. Written by the main thread only, each word by one store.
import * as layout from './record-layout.ts';

/** A threshold that no randomness reaches: SAMPLING_NEVER of bpf/record.h. */
export const NEVER = 0xffffffff;
const WORD = 4;
const IS_ON = layout.SAMPLING_IS_ON / WORD;
const HALF = layout.SAMPLING_HALF / WORD;
const HOST_THRESHOLD = layout.SAMPLING_HOST_THRESHOLD / WORD;
const KEEP = layout.SAMPLING_KEEP / WORD;
const SLOW_NS = layout.SAMPLING_SLOW_NS / WORD;
const IS_COUNTED = layout.SAMPLING_IS_COUNTED / WORD;
const IS_EARLY = layout.SAMPLING_IS_EARLY / WORD;
const IS_TRACKED = layout.SAMPLING_IS_TRACKED / WORD;
const RULES = layout.SAMPLING_RULES / WORD;
const RULES_WORDS = layout.SAMPLING_RULES_BYTES / WORD;
const BASE = layout.SAMPLING_RULES_BASE / WORD;
const BY_ACCESS = layout.SAMPLING_RULES_BY_ACCESS / WORD;
const BY_PATH = layout.SAMPLING_RULES_BY_PATH / WORD;
const BY_PROCESS = layout.SAMPLING_RULES_BY_PROCESS / WORD;
const THRESHOLDS = layout.SAMPLING_RULES_THRESHOLDS / WORD;
const SLOT_WORDS = layout.SLOT_SAMPLING_BYTES / WORD;
const SLOT_THRESHOLD = layout.SLOT_SAMPLING_THRESHOLD / WORD;
const SLOT_RULES = layout.SLOT_SAMPLING_RULES / WORD;
const O_ACCMODE = 3;

/** The rules of one configuration, compiled; bit n of a mask is rule n. */
export interface CompiledSampling {
  readonly base: number;
  readonly thresholds: readonly number[];
  /** By O_ACCMODE: the rules that agree. */
  readonly byAccess: readonly number[];
  /** The rules that have a glob of paths, and of executables' names. */
  readonly byPath: number;
  readonly byProcess: number;
  readonly keep: number;
  readonly slowNs: bigint;
  readonly isOn: boolean;
  readonly isCounted: boolean;
  /** The draw asks nothing of the record. */
  readonly isEarly: boolean;
  /** What is sampled out is tracked until its end. */
  readonly isTracked: boolean;
}

/** Bytes of the block that the pump shares: for slots 0…slotsMax - 1. */
export function samplingBlockBytes(slotsMax: number): number {
  return layout.SAMPLING_BYTES + slotsMax * layout.SLOT_SAMPLING_BYTES;
}

export class SamplingWords {
  readonly #live: Uint32Array;
  readonly #slots: Uint32Array;

  constructor(live: Uint32Array, slots: Uint32Array) {
    this.#live = live;
    this.#slots = slots;
  }

  static ofBlock(block: SharedArrayBuffer): SamplingWords {
    return new SamplingWords(
      new Uint32Array(block, 0, layout.SAMPLING_BYTES / WORD),
      new Uint32Array(block, layout.SAMPLING_BYTES),
    );
  }

  /** The half that isn't in force: the next rules are written to it. */
  get nextHalf(): number {
    return 1 - (this.#live[HALF] & 1);
  }

  /** Writes rules to the half that isn't in force, and all else but the slots' masks. */
  prepare(rules: CompiledSampling): void {
    const at = RULES + this.nextHalf * RULES_WORDS;
    this.#live[at + BASE] = rules.base;
    this.#live.set(rules.byAccess, at + BY_ACCESS);
    this.#live[at + BY_PATH] = rules.byPath;
    this.#live[at + BY_PROCESS] = rules.byProcess;
    this.#live.set(rules.thresholds, at + THRESHOLDS);
  }

  /** Puts the prepared half in force. */
  apply({ keep, slowNs, isOn, isCounted, isEarly, isTracked }: CompiledSampling): void {
    // What isn't drawn early is drawn late, whichever comes first.
    this.#live[IS_EARLY] = 0;
    // Its lowest bit is the half; an unjudged container's record carries two of its bits.
    Atomics.store(this.#live, HALF, this.#live[HALF] + 1);
    this.#live[SLOW_NS] = Number(slowNs & 0xffff_ffffn);
    this.#live[SLOW_NS + 1] = Number(slowNs >> 32n);
    this.#live[KEEP] = keep;
    this.#live[IS_COUNTED] = isCounted ? 1 : 0;
    this.#live[IS_TRACKED] = isTracked ? 1 : 0;
    this.#live[IS_EARLY] = isEarly ? 1 : 0;
    Atomics.store(this.#live, IS_ON, isOn ? 1 : 0);
  }

  /** Which rules a container agrees with, in one of the halves. */
  setSlotRules(slot: number, half: number, mask: number): void {
    this.#slots[slot * SLOT_WORDS + SLOT_RULES + half] = mask;
  }

  setSlotThreshold(slot: number, threshold: number): void {
    this.#slots[slot * SLOT_WORDS + SLOT_THRESHOLD] = threshold;
  }

  setHostThreshold(threshold: number): void {
    this.#live[HOST_THRESHOLD] = threshold;
  }

  get isOn(): boolean {
    return this.#live[IS_ON] !== 0;
  }

  /**
   * The threshold of an open of a container now; threshold_at_open() of bpf/sampling.bpf.h says the same. `named`: the
   * rules that its names agree with, which are of the change that the record's `flags` tell. Of other rules nothing is known
   * by the names: the ratio counts. Four changes while a record waits pass for none.
   */
  thresholdOf(slot: number, openFlags: number, named: number, flags: number): number {
    if (this.#live[IS_ON] === 0) return 0;
    const change = this.#live[HALF];
    const half = change & 1;
    const isOfThese =
      ((change << layout.PAIR_RULES_SHIFT) & layout.PAIR_RULES) === (flags & layout.PAIR_RULES);
    const rules = RULES + half * RULES_WORDS;
    const at = slot * SLOT_WORDS;
    const matching = isOfThese
      ? this.#slots[at + SLOT_RULES + half] & this.#live[rules + BY_ACCESS + (openFlags & O_ACCMODE)] & named
      : 0;
    const lowest = 31 - Math.clz32(matching & -matching);
    const threshold = matching === 0 ? this.#live[rules + BASE] : this.#live[rules + THRESHOLDS + lowest];
    return Math.max(threshold, this.#slots[at + SLOT_THRESHOLD], this.#live[HOST_THRESHOLD]);
  }
}

/** Returns the threshold of a ratio: 2^32 - 1, which none reaches, only for 0 itself. */
export function thresholdOfRatio(ratio: number): number {
  if (ratio <= 0) return NEVER;
  return Math.min(NEVER - 1, Math.max(0, Math.round((1 - ratio) * 0x1_0000_0000)));
}
