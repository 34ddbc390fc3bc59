// Bounds that are reached on purpose: the ring, the table of open files, the spans of a stop. The law is
// asserted by every stop.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { startWorkload } from '../helpers/workload.ts';
import { assertSameSpans, numberOf, type SeenSpan } from './compare-spans.ts';
import { tracedRun, type OpenRun, type RunResult } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const HELD = 100_003;
/** LONG_RECORDS of bpf/maps.bpf.h. */
const LONG_BUFFERS = 2048;

/** Holds the files open over the stop. */
async function holdOverStop({ workload }: OpenRun): Promise<void> {
  workload.go();
  await workload.line('holding');
}

function countReasons(spans: readonly SeenSpan[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const span of spans) {
    const reason = String(span.attributes['fdspan.close.reason']);
    counts[reason] = (counts[reason] ?? 0) + 1;
  }
  return counts;
}

function assertAllAccepted(result: RunResult): void {
  assert.equal(result.spans.length, result.counters.spans_accepted, 'the receiver has what was accepted');
}

test('a burst into a ring that is too small is counted as ring_full, open by open', { skip }, async () => {
  const opens = 200_003;
  const result = await tracedRun({ scenario: 'burst', count: opens, set: { 'limits.ring': '64KiB' } });
  assert.equal(result.counters.opens_in_scope, opens);
  assert.ok(result.counters.ring_full > 0, `ring_full counts: ${JSON.stringify(result.counters)}`);
  assertAllAccepted(result);
});

test('more open files than the table holds are counted as open_table_full', { skip }, async () => {
  const set = { 'limits.open_files': '1024', 'limits.stop_spans': '0' };
  const result = await tracedRun({ scenario: 'hold', count: 5003, set }, holdOverStop);
  assert.equal(result.counters.opens_in_scope, 5003);
  assert.ok(
    result.counters.open_table_full >= 5003 - 1024,
    `the table is bounded: ${JSON.stringify(result.counters)}`,
  );
  assert.ok(result.counters.opens_tracked >= 512, 'and is used at least by half');
  assert.deepEqual(countReasons(result.spans), { stop: result.counters.opens_tracked });
  assertAllAccepted(result);
});

test(
  'paths that find no long buffer keep their tail, marked and counted, until buffers are free',
  { skip },
  async () => {
    const count = 3001;
    const { counters, spans, workload } = await tracedRun(
      // No rule is to find the head of a path that was cut.
      { scenario: 'hold-long', count, set: { 'files.exclude': '[]' } },
      async (run) => {
        await holdOverStop(run);
        run.workload.go();
        await run.workload.finished();
        // What they held is free again.
        const next = await startWorkload({
          scenario: 'hold-long',
          count: 100,
          procsFiles: [run.group.procsFile],
        });
        next.go();
        await next.line('holding');
        next.go();
        await next.finished();
        await next.end();
      },
    );
    assert.ok(counters.paths_shortened >= count - LONG_BUFFERS, `${counters.paths_shortened} were shortened`);
    const cut = spans.filter(({ attributes }) => attributes['fdspan.file.path.truncated'] === true);
    assert.equal(cut.length, counters.paths_shortened);
    const { folder } = workload.lines.find((line) => 'folder' in line)!;
    const held = spans
      .filter((span) => !cut.includes(span))
      .map((span) => String(span.attributes['file.path']));
    assert.equal(
      held.filter((path) => path.startsWith(`${String(folder)}/held-`)).length,
      count - cut.length,
    );
    for (const { attributes } of cut) {
      const path = String(attributes['file.path']);
      assert.match(path, /^0{100,}\/held-\d+$/);
    }
    assert.deepEqual(countReasons(spans), { exit: count + 100 });
  },
);

test('100,003 files open at the stop are all sent when stop_spans has no limit', { skip }, async () => {
  const set = { 'limits.stop_spans': '0', 'limits.stop_deadline': '30s' };
  const result = await tracedRun({ scenario: 'hold', count: HELD, set }, holdOverStop);
  assert.equal(result.counters.still_open, 0);
  assert.equal(result.counters.opens_tracked, HELD);
  assert.deepEqual(countReasons(result.spans), { stop: HELD });
});

test(
  'of 100,003 files open at the stop the oldest 10,000 are sent and the rest counted',
  { skip },
  async () => {
    const result = await tracedRun({ scenario: 'hold', count: HELD }, holdOverStop);
    assert.deepEqual(countReasons(result.spans), { stop: 10_000 });
    assert.equal(result.counters.still_open, HELD - 10_000);
  },
);

test('opens that a filter left out before do not pass for open files at the stop', { skip }, async () => {
  const set = { 'limits.stop_spans': '1000', 'files.exclude': '["**/burst-*"]' };
  const result = await tracedRun({ scenario: 'hold', count: 3003, set }, async (run) => {
    const excluded = await startWorkload({
      scenario: 'burst',
      count: 4001,
      procsFiles: [run.group.procsFile],
    });
    excluded.go();
    await excluded.finished();
    await excluded.end();
    await holdOverStop(run);
  });
  assert.ok(result.counters.path_excluded >= 4001);
  assert.deepEqual(countReasons(result.spans), { stop: 1000 });
  assert.equal(result.counters.still_open, 2003);
});

test('files open at the stop are sent with the reason stop', { skip }, async () => {
  const result = await tracedRun({ scenario: 'left-open', count: 11 }, async ({ workload }) => {
    workload.go();
    await workload.line('done');
  });
  assertSameSpans(result.workload.expected, result.spans, result);
});

test('files open before the start are taken over and marked, once for each table', { skip }, async () => {
  const result = await tracedRun({ scenario: 'adopted', count: 31 });
  assertSameSpans(result.workload.expected, result.spans, result);
});

test('adopt_open: false leaves files that were open before alone', { skip }, async () => {
  const result = await tracedRun({ scenario: 'adopted', count: 31, set: { 'scope.adopt_open': 'false' } });
  assert.equal(result.spans.length, 0);
});

test(
  'descriptors reused 100,003 times by 8 threads give each open its own span, in order',
  { skip },
  async () => {
    const opens = 100_003;
    const result = await tracedRun({
      scenario: 'hammer',
      count: opens,
      // No runtime knows the group: more records than may wait would, for the whole wait.
      set: {
        'limits.ring': '64MiB',
        'export.queue.bytes_max': '256MiB',
        'limits.stop_deadline': '60s',
        'limits.metadata_wait': '1ms',
      },
    });
    assert.equal(result.spans.length, opens);
    const threads = result.workload.lines.filter((line) => 'thread' in line);
    assert.equal(threads.length, 8);
    const spansOf = Map.groupBy(result.spans, (span) => numberOf(span, 'fdspan.thread.tid'));
    for (const thread of threads) {
      const spans = spansOf.get(Number(thread.tid))!.sort((a, b) => (a.startUnixNs < b.startUnixNs ? -1 : 1));
      assert.equal(spans.length, thread.opens);
      assertInTurn(spans, String(thread.prefix), Number(thread.files));
      const [before, after] = (thread.between as string[]).map(BigInt);
      assert.ok(
        spans.at(-1)!.endUnixNs - spans[0].startUnixNs <= after - before,
        'within the thread’s own readings',
      );
    }
    assert.deepEqual(countReasons(result.spans), { close: opens });
  },
);

/** A thread opens its files in turn and closes each before the next. */
function assertInTurn(spans: readonly SeenSpan[], prefix: string, files: number): void {
  spans.forEach((span, index) => {
    if (span.attributes['file.path'] !== `${prefix}${index % files}`)
      assert.fail(
        `span ${index} is of ${String(span.attributes['file.path'])}, not of ${prefix}${index % files}`,
      );
    if (index > 0 && span.startUnixNs < spans[index - 1].endUnixNs)
      assert.fail(`span ${index} starts before the end of the one before it`);
  });
}
