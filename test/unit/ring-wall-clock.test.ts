// The pump's clock on clocks that are set here: suspend and steps can't be made on a machine that others use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOCK_BOOTTIME, CLOCK_REALTIME, WallClock } from '../../src/ring/wall-clock.ts';
import { SetClocks } from '../helpers/set-clocks.ts';

const HOUR_NS = 3_600_000_000_000n;
const SECOND_NS = 1_000_000_000n;
const MS_NS = 1_000_000n;

function offsetNs({ offsetLo, offsetHi }: WallClock): bigint {
  return (BigInt(offsetHi) << 32n) | BigInt(offsetLo >>> 0);
}

test('turn returns the boot time, whatever the wall clock says', () => {
  const clocks = new SetClocks({ bootNs: 5_000_000_000_000n + 250_000n, wallNs: 1_800_000_000n * SECOND_NS });
  const clock = new WallClock(clocks.read);
  assert.equal(clock.turn(), 5_000_000.25);
  clocks.wallNs -= HOUR_NS;
  assert.equal(clock.turn(), 5_000_000.25);
});

for (const [name, stepNs] of Object.entries({
  'an hour forward': HOUR_NS,
  'an hour back': -HOUR_NS,
  'twenty milliseconds back': -20n * MS_NS,
  'before the boot': -1_800_000_000n * SECOND_NS,
}))
  test(`a step of the wall clock ${name} is in the offset at the next turn`, () => {
    const clocks = new SetClocks({ bootNs: 5_000n * SECOND_NS, wallNs: 1_800_000_000n * SECOND_NS });
    const clock = new WallClock(clocks.read);
    clock.turn();
    assert.equal(offsetNs(clock), 1_800_000_000n * SECOND_NS - 5_000n * SECOND_NS);
    clocks.wallNs += stepNs;
    clock.turn();
    assert.equal(offsetNs(clock), 1_800_000_000n * SECOND_NS + stepNs - 5_000n * SECOND_NS);
  });

test('what NTP slews is followed every five seconds, also when the machine was suspended meanwhile', () => {
  const clocks = new SetClocks({ bootNs: 5_000n * SECOND_NS, wallNs: 1_800_000_000n * SECOND_NS });
  const clock = new WallClock(clocks.read);
  const before = offsetNs(clock);
  clocks.pass(4_999n * MS_NS);
  clocks.wallNs += 2n * MS_NS;
  clock.turn();
  assert.equal(offsetNs(clock), before, 'a slewed clock is no stepped one');
  clocks.pass(MS_NS);
  clock.turn();
  assert.equal(offsetNs(clock), before + 2n * MS_NS);
  // The boot clock goes on in suspend, and so does the wall clock; the hardware's clock is some milliseconds off.
  clocks.pass(8n * HOUR_NS);
  clocks.wallNs += 3n * MS_NS;
  clock.turn();
  assert.equal(offsetNs(clock), before + 5n * MS_NS);
});

test('a thread that loses its processor while it measures takes the measure again', () => {
  const clocks = new SetClocks({ bootNs: 5_000n * SECOND_NS, wallNs: 1_800_000_000n * SECOND_NS });
  let readings = 0;
  const clock = new WallClock((id, time) => {
    readings += 1;
    // Between the wall time and the boot time behind it.
    if (readings === 4) clocks.pass(300n * MS_NS);
    clocks.read(id, time);
  });
  assert.equal(offsetNs(clock), 1_800_000_000n * SECOND_NS - 5_000n * SECOND_NS);
  assert.ok(readings > 4);
});

test('the numbers are those of linux/time.h', () => {
  assert.deepEqual([CLOCK_REALTIME, CLOCK_BOOTTIME], [0, 7]);
});
