// The trace limits of the backends under load, for some seconds; `npm run test:limits` does it for five minutes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { runLimits } from '../helpers/limits-run.ts';
import { assertLimits } from '../helpers/trace-limits.ts';

const SPANS_MAX = 101;
const SECONDS = 6;

test(
  'under 10,000 opens a second, a storm of processes and held files, no trace breaks a limit of a backend',
  { skip: whyNoKernelTests() ?? false },
  async () => {
    const { found, counters, processes } = await runLimits({
      seconds: SECONDS,
      opensPerSecond: 10_000,
      heldFiles: 150,
      // Smaller slices: all their kinds of ends are seen in seconds.
      set: { 'trace.window': '3s', 'trace.spans_max': String(SPANS_MAX - 1) },
    });
    assert.equal(counters.spans_accepted, counters.spans_encoded);
    assertLimits(found, SPANS_MAX);
    assert.ok(
      found.traces > 100 * SECONDS + processes,
      `${found.traces} traces: slices of 100 files, and each program`,
    );
  },
);
