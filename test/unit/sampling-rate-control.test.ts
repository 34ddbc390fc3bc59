// The control loop that meets target rates, in simulated time: opens come in slices that pass or fail as a whole.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateControl, type Offers } from '../../src/sampling/rate-control.ts';

const STEP_S = 0.2;

/** Numbers of 0 to 1 that are the same in each run (xorshift32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

interface Load {
  /** Opens a second at a time (s). */
  readonly rate: (atS: number) => number;
  /** Opens that share one draw. */
  readonly sliceOpens: number;
  /** What rules and ratio let through. */
  readonly ratio?: number;
}

/** Runs loads, one for each slot, and returns what passed of each between two times, a second. */
function simulate(
  control: RateControl,
  loads: readonly Load[],
  seconds: number,
  fromS: number,
  seed = 1,
): { perSecond: number[]; estimated: number[]; offered: number[] } {
  const random = seeded(seed);
  const counts: Offers[] = loads.map(() => ({ opens: 0, weight: 0, passed: 0 }));
  const draws = loads.map(() => ({ left: 0, random: 0 }));
  const passed = loads.map(() => 0);
  const estimated = loads.map(() => 0);
  const offered = loads.map(() => 0);
  const slots = loads.map((_, slot) => slot);
  const carried = loads.map(() => 0);
  for (let at = 0; at < seconds; at += STEP_S) {
    loads.forEach(({ rate, sliceOpens, ratio = 1 }, slot) => {
      const probability = Math.min(ratio, control.probabilities[slot], control.hostProbability);
      carried[slot] += rate(at) * STEP_S;
      for (; carried[slot] >= 1; carried[slot] -= 1) {
        const draw = draws[slot];
        if (draw.left === 0) {
          draw.left = sliceOpens;
          draw.random = random();
        }
        draw.left -= 1;
        counts[slot].opens += 1;
        counts[slot].weight += ratio;
        offered[slot] += 1;
        if (draw.random >= probability) continue;
        counts[slot].passed += 1;
        estimated[slot] += 1 / probability;
        if (at >= fromS) passed[slot] += 1;
      }
    });
    control.step(slots, (slot, offers) => Object.assign(offers, counts[slot]), STEP_S);
  }
  return { perSecond: passed.map((count) => count / (seconds - fromS)), estimated, offered };
}

function assertNear(value: number, wanted: number, share: number, what: string): void {
  assert.ok(Math.abs(value - wanted) <= share * wanted, `${what}: ${value.toFixed(1)} for ${wanted}`);
}

for (const sliceOpens of [10, 100, 1000])
  test(`a target is met within 10 % over a load that grows tenfold and falls again, in slices of ${sliceOpens}`, () => {
    const control = new RateControl(1);
    control.targets = { container: 0, host: 2000 };
    const rate = (at: number): number => (at < 30 || at >= 60 ? 5000 : 50_000);
    const { perSecond } = simulate(control, [{ rate, sliceOpens }], 90, 0);
    assertNear(perSecond[0], 2000, 0.1, 'spans a second');
  });

test('a load below the target is sent whole', () => {
  const control = new RateControl(1);
  control.targets = { container: 500, host: 2000 };
  const { perSecond } = simulate(control, [{ rate: () => 400, sliceOpens: 50 }], 60, 0);
  assertNear(perSecond[0], 400, 0.001, 'spans a second');
  assert.deepEqual([control.probabilities[0], control.hostProbability], [1, 1]);
});

test('the host target spares small containers: one probability for all, and what is below stays', () => {
  const control = new RateControl(3);
  control.targets = { container: 1000, host: 1500 };
  const loads = [20_000, 10_000, 100].map((opens) => ({ rate: () => opens, sliceOpens: 20 }));
  const { perSecond } = simulate(control, loads, 120, 20);
  assertNear(
    perSecond.reduce((sum, rate) => sum + rate),
    1500,
    0.1,
    'of the host',
  );
  assert.ok(
    perSecond[0] <= 1100 && perSecond[1] <= 1100,
    `each below its own target: ${perSecond.join(', ')}`,
  );
});

test('a ratio that lets less than the target through is left alone', () => {
  const control = new RateControl(1);
  control.targets = { container: 2000, host: 0 };
  const { perSecond } = simulate(control, [{ rate: () => 10_000, sliceOpens: 10, ratio: 0.1 }], 60, 0);
  assertNear(perSecond[0], 1000, 0.1, 'spans a second');
  assert.equal(control.probabilities[0], 1);
});

test('adjusted counts estimate the whole though thresholds follow what passed', () => {
  const control = new RateControl(2);
  control.targets = { container: 0, host: 2000 };
  const rate = (at: number): number => (at % 20 < 10 ? 3000 : 30_000);
  const loads = [
    { rate, sliceOpens: 10 },
    { rate, sliceOpens: 20 },
  ];
  const { estimated, offered } = simulate(control, loads, 120, 0, 7);
  estimated.forEach((count, slot) => assertNear(count, offered[slot], 0.1, `container ${slot}`));
});

test('a slot that another container gets begins anew', () => {
  const control = new RateControl(1);
  control.targets = { container: 100, host: 0 };
  simulate(control, [{ rate: () => 10_000, sliceOpens: 10 }], 10, 0);
  assert.ok(control.probabilities[0] < 0.1);
  control.reset(0);
  assert.equal(control.probabilities[0], 1);
});
