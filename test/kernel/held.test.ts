// Files that stay open: held spans come in time, in counts of their own, and the pair's own span follows at its close.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertSameSpans, numberOf, type SeenSpan } from './compare-spans.ts';
import { tracedRun, type RunResult } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const DEADLINE_MS = 30_000;

const isHeld = ({ attributes }: SeenSpan): boolean => attributes['fdspan.close.reason'] === 'held';

async function until(isSo: () => boolean, what: () => string): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!isSo()) {
    assert.ok(performance.now() < deadlineMs, what());
    await delay(20);
  }
}

/** The held spans of each open file (by its path), in order of time. */
function reportsByPath(spans: readonly SeenSpan[]): Map<string, SeenSpan[]> {
  const reports = Map.groupBy(spans.filter(isHeld), (span) => String(span.attributes['file.path']));
  for (const list of reports.values()) list.sort((a, b) => (a.startUnixNs < b.startUnixNs ? -1 : 1));
  return reports;
}

function assertHeldLaw({ counters, spans }: RunResult): void {
  const held = spans.filter(isHeld).length;
  assert.equal(counters.held_spans_sent, counters.held_spans_read);
  assert.equal(counters.held_spans_read, counters.held_spans_encoded + counters.held_spans_filtered);
  assert.equal(counters.held_spans_encoded, held);
  assert.equal(counters.held_spans_accepted, held);
  assert.equal(spans.length - held, counters.spans_accepted, 'they are in no count of the pairs');
}

test(
  'an open file is reported after spans.held.after, then every spans.held.every, and its own span follows',
  { skip },
  async () => {
    const files = 31;
    const set = { 'spans.held.after': '300ms', 'spans.held.every': '500ms', 'limits.metadata_wait': '0' };
    const result = await tracedRun(
      { scenario: 'adopted', count: files, set, isCollectorFirst: true },
      async ({ workload, ...run }) => {
        const isThrice = (): boolean => {
          const reports = reportsByPath(run.spans());
          return reports.size === files && [...reports.values()].every(({ length }) => length >= 3);
        };
        await until(isThrice, () => `${run.spans().filter(isHeld).length} reports came`);
        workload.go();
        await workload.finished();
      },
    );
    assertHeldLaw(result);
    const whole = result.spans.filter((span) => !isHeld(span));
    const expected = result.workload.expected.map((span) => ({ ...span, isAdopted: false }));
    assertSameSpans(expected, whole, result);
    for (const [path, reports] of reportsByPath(result.spans)) {
      for (const span of reports)
        assert.equal(
          numberOf(span, 'fdspan.held.duration_ns'),
          Number(span.endUnixNs - reports[0].startUnixNs),
          'each tells for how long the file is open',
        );
      const own = whole.find(({ attributes }) => attributes['file.path'] === path)!;
      assert.equal(
        reports[0].startUnixNs / 1_000_000n,
        own.startUnixNs / 1_000_000n,
        'the first begins at the open',
      );
      assert.ok(reports[0].endUnixNs - reports[0].startUnixNs >= 300_000_000n, 'and isn’t early');
      reports.slice(1).forEach((span, index) => {
        assert.equal(span.startUnixNs, reports[index].endUnixNs, 'each begins where the one before it ended');
        assert.ok(span.endUnixNs - span.startUnixNs >= 500_000_000n, 'and isn’t early');
      });
      assert.ok(reports.at(-1)!.endUnixNs <= own.endUnixNs, 'none ends after the close');
      assert.match(reports[0].name, /^held \//);
      for (const key of ['process.pid', 'fdspan.fd', 'fdspan.thread.tid'])
        assert.equal(numberOf(reports[0], key), numberOf(own, key));
    }
  },
);

test(
  'more reports than the ring holds are made one after the other, each once, and what had no place is counted',
  { skip },
  async () => {
    const files = 3001;
    const set = {
      'limits.ring': '64KiB',
      'spans.held.after': '300ms',
      'spans.held.every': '0',
      'limits.metadata_wait': '0',
    };
    const result = await tracedRun({ scenario: 'hold', count: files, set }, async ({ workload, ...run }) => {
      workload.go();
      await workload.line('holding');
      const reported = (): number => run.spans().filter(isHeld).length;
      await until(
        () => reported() >= files,
        () => `${reported()} reports came`,
      );
    });
    const held = result.spans.filter(isHeld);
    assert.equal(
      new Set(held.map((span) => `${numberOf(span, 'process.pid')}/${numberOf(span, 'fdspan.fd')}`)).size,
      files,
    );
    assert.equal(held.length, files);
    assert.equal(result.counters.held_spans_sent, files);
    assert.ok(result.counters.held_ring_full > 0, 'the ring was full');
  },
);

test('spans.held.after 0 makes no report', { skip }, async () => {
  const set = { 'spans.held.after': '0', 'spans.held.every': '100ms' };
  const result = await tracedRun({ scenario: 'adopted', count: 7, set });
  assert.equal(result.counters.held_spans_sent, 0);
});
