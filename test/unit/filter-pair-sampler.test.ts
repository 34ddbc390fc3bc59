// What user space makes of a record whose container had no verdict at the open, while the rules of sampling change.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEEP, PairSampler } from '../../src/filter/pair-sampler.ts';
import { counterIndex } from '../../src/model/counters.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import * as layout from '../../src/model/record-layout.ts';
import { samplingBlockBytes, SamplingWords, type CompiledSampling } from '../../src/model/sampling-words.ts';
import { compileSampling, maskOf } from '../../src/sampling/compile-sampling.ts';
import { pairRecord } from '../helpers/ring-memory.ts';

const SLOT = 3;
const PATH = '/data/kept';
const UNSAMPLED_LATE = counterIndex('unsampled_late');

/** Rules with one glob of paths each, over a ratio. */
function rulesOf(ratio: number, ruleRatios: readonly number[]): CompiledSampling {
  const rules = ruleRatios.map((each, index) => ({ path: `/${index}/**`, ratio: each }));
  return compileSampling(
    { ratio, rules, keep: [], slowAfterMs: 0, target: { container: 0, host: 0 } },
    false,
  );
}

class Scene {
  readonly block = new SharedArrayBuffer(samplingBlockBytes(SLOT + 1));
  readonly words = SamplingWords.ofBlock(this.block);
  readonly sampler = new PairSampler(this.block);

  change(rules: CompiledSampling, ruleCount: number): void {
    const half = this.words.nextHalf;
    this.words.prepare(rules);
    this.words.setSlotRules(SLOT, half, maskOf(Array.from({ length: ruleCount }, () => true)));
    this.words.apply(rules);
  }

  /** Judges a record that was opened after the `change`-th change, by rules that its names agreed with then. */
  judge(change: number, named: number): number {
    const record = pairRecord(PATH, (view) => {
      const flags = layout.PAIR_UNJUDGED | ((change << layout.PAIR_RULES_SHIFT) & layout.PAIR_RULES);
      view.setUint16(layout.PAIR_RECORD_FLAGS, flags, true);
      view.setUint32(layout.PAIR_RECORD_THRESHOLD, named, true);
      view.setUint32(layout.PAIR_RECORD_RANDOM, 0x8000_0000, true);
    });
    const cursor = new RecordCursor();
    const padded = new Uint8Array(Math.ceil(record.length / 8) * 8);
    padded.set(record);
    cursor.bytes = padded;
    cursor.words = new Uint32Array(padded.buffer);
    return this.sampler.judge(cursor, SLOT);
  }
}

test('a rule of the open’s own time decides while the rules stay', () => {
  const scene = new Scene();
  scene.change(rulesOf(0, [1]), 1);
  assert.equal(scene.judge(1, 1), KEEP);
  assert.equal(scene.judge(1, 0), UNSAMPLED_LATE);
});

test('after a change the numbers of the old rules pick none of the new ones: the ratio counts', () => {
  const scene = new Scene();
  scene.change(rulesOf(0, [1]), 1);
  // The rule that has the number now is another: its names were never asked.
  scene.change(rulesOf(1, [0]), 1);
  assert.equal(scene.judge(1, 1), KEEP);
  assert.equal(scene.judge(2, 1), UNSAMPLED_LATE);
  scene.change(rulesOf(0, [1]), 1);
  assert.equal(scene.judge(1, 1), UNSAMPLED_LATE, 'the same half again, but not the same rules');
  assert.equal(scene.judge(3, 1), KEEP);
});
