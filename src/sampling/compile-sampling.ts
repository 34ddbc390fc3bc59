// What users write of sampling → the words that kernel and pump decide by.
import * as layout from '../model/record-layout.ts';
import { thresholdOfRatio, type CompiledSampling } from '../model/sampling-words.ts';

export interface SamplingOptions {
  readonly ratio: number;
  readonly rules: readonly {
    readonly path?: string;
    readonly access?: 'read' | 'write' | 'read_write';
    readonly process?: string;
    readonly ratio: number;
  }[];
  readonly keep: readonly ('failed' | 'held' | 'slow')[];
  readonly slowAfterMs: number;
  readonly target: { readonly container: number; readonly host: number };
}

/** By O_ACCMODE; 3 asks for neither, which no rule names. */
const ACCESSES = ['read', 'write', 'read_write', 'none'];
const KEEPS = { failed: layout.KEEP_FAILED, held: layout.KEEP_HELD, slow: layout.KEEP_SLOW };
const NS_PER_MS = 1_000_000n;

/**
 * Compiles the checked options; the containers' part of the rules is theirs to match, and globs are the filters' to walk.
 * `isEndCounted`: the ends of all opens are counted, also of those that are sampled out.
 */
export function compileSampling(options: SamplingOptions, isEndCounted: boolean): CompiledSampling {
  const { ratio, rules, target, keep } = options;
  const isCounted = target.container > 0 || target.host > 0;
  const byPath = maskOf(rules.map(({ path }) => path !== undefined));
  const byProcess = maskOf(rules.map(({ process }) => process !== undefined));
  const isTracked = isEndCounted || keep.includes('held') || keep.includes('slow');
  return {
    base: thresholdOfRatio(ratio),
    thresholds: rules.map((rule) => thresholdOfRatio(rule.ratio)),
    byAccess: ACCESSES.map((access) =>
      maskOf(rules.map((rule) => rule.access === undefined || rule.access === access)),
    ),
    byPath,
    byProcess,
    isTracked,
    isEarly: !isTracked && byPath === 0 && byProcess === 0,
    keep: keep.reduce((bits, name) => bits | KEEPS[name], 0),
    slowNs: BigInt(Math.round(options.slowAfterMs)) * NS_PER_MS,
    isOn: isCounted || ratio < 1 || rules.length > 0,
    isCounted,
  };
}

/** Bit n for item n. */
export function maskOf(bits: readonly boolean[]): number {
  return bits.reduce((mask, bit, index) => (bit ? (mask | (1 << index)) >>> 0 : mask), 0);
}
