// Five minutes of 10,000 opens a second, many short processes, and files that are held over many slices: no trace is larger,
// longer or more than what Jaeger, Tempo and tail samplers take by default.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { runLimits } from '../helpers/limits-run.ts';
import { assertLimits, limitTable } from '../helpers/trace-limits.ts';

const SECONDS = Number(process.env.LIMITS_SECONDS ?? 300);
const OPENS_PER_SECOND = 10_000;
/** trace.spans_max, the root, and what two processors count at once. */
const SPANS_MAX = 1000 + 1;

test(
  `${SECONDS} s of ${OPENS_PER_SECOND} opens a second keep the limits of Jaeger and Tempo`,
  { skip: whyNoKernelTests() ?? false },
  async (t) => {
    const { found, counters, processes } = await runLimits({
      seconds: SECONDS,
      opensPerSecond: OPENS_PER_SECOND,
      heldFiles: 500,
      set: { 'spans.attributes': 'full', 'spans.held.after': '20s', 'spans.held.every': '1m' },
    });
    t.diagnostic(`${processes} programs run, ${counters.opens_in_scope} opens`);
    for (const line of limitTable(found, SPANS_MAX).split('\n')) t.diagnostic(line);
    for (const name of ['traces_evicted', 'ring_full', 'slice_records_lost'])
      t.diagnostic(`${name} ${counters[name]}`);
    assert.ok(Number(counters.opens_in_scope) >= OPENS_PER_SECOND * SECONDS);
    assert.equal(counters.spans_accepted, counters.spans_encoded, 'all was sent, else roots may be missing');
    assertLimits(found, SPANS_MAX);
  },
);
