// Sampling as the main thread runs it: the rules of the configuration go to the kernel and to the pump, and each
// container's threshold follows the rate of its opens.
import type { KeptAtEnd } from './bpf/pending-opens.ts';
import type { SamplingMaps } from './bpf/sampling-maps.ts';
import type { Config } from './config/config.ts';
import { keptAtEnd } from './kept-at-end.ts';
import type { ToPump } from './model/pump-messages.ts';
import { HOST_SLOT } from './model/container-slot.ts';
import { thresholdOfRatio, type CompiledSampling, type SamplingWords } from './model/sampling-words.ts';
import { compileSampling, maskOf } from './sampling/compile-sampling.ts';
import { RateControl } from './sampling/rate-control.ts';

const MS_PER_SECOND = 1000;
/** Reason: what a load that grows lets through too much lasts as long as this. */
export const SAMPLING_TICK_MS = 200;

/** The pump's copy of the words, and its messages. */
export interface SamplingPump {
  readonly sampling: SamplingWords;
  send(message: ToPump): void;
}

export class SamplingSide {
  readonly #maps: SamplingMaps;
  readonly #pump: SamplingPump;
  /** The kernel's and the pump's: always written alike. */
  readonly #copies: readonly SamplingWords[];
  readonly #control: RateControl;
  /** Of the start: whether containers' opens are counted needs a restart to change. */
  readonly #isEndCounted: boolean;
  readonly #slots = new Set<number>([HOST_SLOT]);
  #rules: CompiledSampling;
  /** That whose rules are in force. */
  #config: Config;
  /** The half whose masks containers are given. */
  #half = 0;
  #steppedMs = performance.now();
  #isClosed = false;

  constructor(config: Config, maps: SamplingMaps, pump: SamplingPump) {
    this.#maps = maps;
    this.#pump = pump;
    this.#copies = [maps.words, pump.sampling];
    this.#control = new RateControl(config.limits.containers + 1);
    this.#isEndCounted = config.telemetry.metrics.containers;
    this.#config = config;
    this.#rules = this.#prepare(config);
    this.apply(config);
  }

  /** Writes the rules of a configuration where they aren't in force yet; containers are then matched with them. */
  prepare(config: Config): void {
    if (this.#isClosed) return;
    this.#rules = this.#prepare(config);
  }

  /** Puts the prepared rules in force, between two opens. */
  apply(config: Config): void {
    if (this.#isClosed) return;
    const { sampling } = config;
    this.#config = config;
    for (const words of this.#copies) words.apply(this.#rules);
    this.#control.targets = sampling.target;
    this.#pump.send({ type: 'rate-limit', perSecond: sampling.limit.host });
    this.tick();
  }

  /** What is sent at a stop whatever was drawn, by the rules that are in force. */
  keptAtEnd(): KeptAtEnd {
    return keptAtEnd(this.#config);
  }

  /** A container has the slot; bit n of `rules`: it agrees with rule n. */
  container(slot: number, rules: number): void {
    if (this.#isClosed) return;
    this.#slots.add(slot);
    for (const words of this.#copies) words.setSlotRules(slot, this.#half, rules);
  }

  containerGone(slot: number): void {
    if (this.#isClosed) return;
    this.#slots.delete(slot);
    this.#control.reset(slot);
    for (const words of this.#copies) {
      words.setSlotThreshold(slot, 0);
      words.setSlotRules(slot, 0, 0);
      words.setSlotRules(slot, 1, 0);
    }
  }

  /** A few times a second: thresholds follow the opens of the last period. */
  tick(): void {
    const now = performance.now();
    const seconds = (now - this.#steppedMs) / MS_PER_SECOND;
    this.#steppedMs = now;
    if (this.#isClosed || seconds <= 0) return;
    const slots = [...this.#slots];
    this.#control.step(slots, (slot, offers) => this.#maps.read(slot, offers), seconds);
    for (const words of this.#copies) {
      words.setHostThreshold(thresholdOf(this.#control.hostProbability));
      for (const slot of slots) words.setSlotThreshold(slot, thresholdOf(this.#control.probabilities[slot]));
    }
  }

  /** Before the maps are unmapped. */
  close(): void {
    this.#isClosed = true;
  }

  #prepare(config: Config): CompiledSampling {
    const { sampling } = config;
    const isHeldTold = config.spans.held.afterMs > 0;
    const keep = sampling.keep.filter((name) => name !== 'held' || isHeldTold);
    const rules = compileSampling({ ...sampling, keep }, this.#isEndCounted);
    this.#half = this.#copies[0].nextHalf;
    for (const words of this.#copies) words.prepare(rules);
    this.container(HOST_SLOT, maskOf(sampling.rules.map((rule) => rule.container === undefined)));
    return rules;
  }
}

function thresholdOf(probability: number): number {
  return probability >= 1 ? 0 : thresholdOfRatio(probability);
}
