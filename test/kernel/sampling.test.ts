// Sampling in the kernel: by slice, by rule, by class; what is left out is counted, and what is sent tells its share.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { adjustedCount, thresholdOf, tolerance } from '../helpers/adjusted-counts.ts';
import { whyNoKernelTests, type Counters } from '../helpers/collector-process.ts';
import type { SeenSpan } from './compare-spans.ts';
import { tracedRun, type RunResult } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const OPENS = 18_000;
const OPENS_EACH = 9;
/** Sampled, with a random trace id, and no parent elsewhere (W3C trace flags, and OTLP's has-is-remote). */
const FLAGS = 0x103;

/** Without those of other new groups of this machine, which are traced until they are judged. */
function ownOpens(counters: Counters): number {
  return counters.opens_in_scope - counters.container_denied - counters.path_excluded;
}

/** At the open, at the end, and at the verdict. */
function sampledOut(counters: Counters): number {
  return counters.unsampled + counters.unsampled_finished + counters.unsampled_late;
}

function estimateOf(spans: readonly SeenSpan[]): number {
  return spans.reduce((sum, { traceState }) => sum + adjustedCount(thresholdOf(traceState) ?? 0n), 0);
}

function statesOf(spans: readonly SeenSpan[]): string[] {
  return [...new Set(spans.map(({ traceState }) => traceState))].sort();
}

function byProcess(spans: readonly SeenSpan[]): Map<unknown, SeenSpan[]> {
  return Map.groupBy(spans, ({ attributes }) => attributes['process.pid']);
}

function swarm(set: Readonly<Record<string, string>>, more: object = {}): Promise<RunResult> {
  return tracedRun({ scenario: 'swarm', count: OPENS, set: set, ...more });
}

for (const [ratio, state] of [
  ['10%', 'ot=th:e6666666'],
  ['0.5', 'ot=th:8'],
] as const)
  test(
    `at a ratio of ${ratio} whole processes are sampled, and their adjusted counts give all`,
    { skip },
    async () => {
      const { spans, counters } = await swarm({ 'sampling.ratio': ratio });
      assert.equal(ownOpens(counters), OPENS);
      assert.equal(sampledOut(counters), OPENS - spans.length);
      assert.deepEqual(statesOf(spans), [state]);
      for (const [pid, own] of byProcess(spans))
        assert.equal(own.length, OPENS_EACH, `process ${String(pid)} is whole`);
      assert.ok(spans.every(({ flags }) => flags === FLAGS));
      const share = ratio === '10%' ? 0.1 : 0.5;
      const sizes = Array.from({ length: OPENS / OPENS_EACH }, () => OPENS_EACH);
      const error = Math.abs(estimateOf(spans) - OPENS);
      assert.ok(error <= tolerance(sizes, share), `${estimateOf(spans)} is estimated of ${OPENS}`);
    },
  );

test('at a ratio of 1 every span says that it stands for itself alone', { skip }, async () => {
  const { spans } = await swarm({});
  assert.equal(spans.length, OPENS);
  assert.deepEqual(statesOf(spans), ['ot=th:0']);
});

test('at a ratio of 0 nothing is sent, and each open is counted', { skip }, async () => {
  const { spans, counters } = await swarm({ 'sampling.ratio': '0' });
  assert.equal(spans.length, 0);
  assert.equal(ownOpens(counters), OPENS);
  assert.equal(sampledOut(counters), OPENS);
});

test('opens before the verdict are sampled by the same ratio', { skip }, async () => {
  const more = { isCollectorFirst: true };
  const { spans, counters } = await swarm({ 'sampling.ratio': '0', 'limits.metadata_wait': '3s' }, more);
  assert.equal(spans.length, 0);
  assert.ok(counters.unsampled_late > 0, `unsampled_late counts: ${JSON.stringify(counters)}`);
  assert.equal(sampledOut(counters), ownOpens(counters));
});

test('the first rule that agrees decides: by container and by access', { skip }, async () => {
  const rules = [
    { container: { cgroup: '/no-such-group/**' }, ratio: 1 },
    { container: { id: '*' }, access: 'write', ratio: 1 },
    { access: 'write', ratio: 0 },
  ];
  const { spans, counters } = await swarm({ 'sampling.ratio': '0', 'sampling.rules': JSON.stringify(rules) });
  const written = (OPENS / OPENS_EACH) * Math.ceil(OPENS_EACH / 4);
  assert.equal(spans.length, written);
  assert.ok(spans.every(({ attributes }) => attributes['fdspan.access'] === 'write'));
  assert.deepEqual(statesOf(spans), ['ot=th:0']);
  assert.equal(sampledOut(counters), OPENS - written);
});

test(
  'failed opens are all kept, and stand for themselves, unless keep leaves them out',
  { skip },
  async () => {
    const run = (keep: string): Promise<RunResult> =>
      tracedRun({
        scenario: 'failed-opens',
        count: 7,
        set: { 'sampling.ratio': '0', 'sampling.keep': keep },
      });
    const kept = await run('[failed]');
    const failed = kept.workload.expected.filter(({ error }) => error !== '');
    assert.ok(failed.length > 0);
    assert.equal(kept.spans.length, failed.length);
    assert.deepEqual(statesOf(kept.spans), ['ot=th:0']);
    const none = await run('[]');
    assert.equal(none.spans.length, 0);
    assert.equal(sampledOut(none.counters), ownOpens(none.counters));
  },
);

test('slow files are kept whatever was drawn, and the rest is dropped at its close', { skip }, async () => {
  const set = { 'sampling.ratio': '0', 'sampling.keep': '[slow]', 'limits.metadata_wait': '1ms' };
  const kept = await swarm({ ...set, 'sampling.slow_after': '0' });
  assert.equal(kept.spans.length, OPENS);
  assert.deepEqual(statesOf(kept.spans), ['ot=th:0']);
  const dropped = await swarm({ ...set, 'sampling.slow_after': '1h' });
  assert.equal(dropped.spans.length, 0);
  assert.equal(dropped.counters.unsampled_finished + dropped.counters.unsampled_late, OPENS);
  assert.equal(
    dropped.counters.opens_tracked - dropped.counters.container_denied,
    OPENS,
    'they were tracked, as they could have become slow',
  );
});

test('what survives the hard limit in a slice that met it claims no threshold', { skip }, async () => {
  const count = 3000;
  const set = { 'sampling.limit.host': '100/s', 'trace.spans_max': '5000' };
  // One process, and so one slice, that goes on while the limit lets a few more through.
  const paced = { arguments: [String(count), String(count), '200000'] };
  const { spans, counters } = await tracedRun({ scenario: 'swarm', count, set, ...paced });
  assert.ok(counters.rate_limited > 0);
  assert.equal(spans.length, count - counters.rate_limited);
  assert.ok(spans.length < count / 2, `${spans.length} of ${count}`);
  assert.deepEqual(statesOf(spans), ['', 'ot=th:0'], 'those before the limit was met claim theirs');
});

test('what is left of a slice that met a full ring claims no threshold', { skip }, async () => {
  const count = 200_003;
  const set = { 'limits.ring': '64KiB', 'export.queue.bytes_max': '256MiB' };
  const { spans, counters } = await tracedRun({ scenario: 'burst', count, set });
  assert.ok(counters.ring_full > 0);
  assert.ok(spans.some(({ traceState }) => traceState === ''));
  assert.ok(estimateOf(spans.filter(({ traceState }) => traceState !== '')) <= count);
});

test(
  'rules by path and by process name are asked behind the filters, also of failed opens',
  { skip },
  async () => {
    const rules = [
      { process: 'no-such-program', ratio: 1 },
      { process: 'workload', path: '**/swarm-*', access: 'write', ratio: 1 },
      { path: '/**', ratio: 0 },
    ];
    const { spans, counters } = await swarm({ 'sampling.rules': JSON.stringify(rules) });
    const written = (OPENS / OPENS_EACH) * Math.ceil(OPENS_EACH / 4);
    assert.equal(spans.length, written);
    assert.ok(spans.every(({ attributes }) => attributes['fdspan.access'] === 'write'));
    assert.equal(sampledOut(counters), OPENS - written);
    const failed = await tracedRun({
      scenario: 'failed-opens',
      count: 7,
      set: { 'sampling.keep': '[]', 'sampling.rules': JSON.stringify([{ path: '/**', ratio: 0 }]) },
    });
    assert.equal(failed.spans.length, 0);
  },
);

test('rules by path hold for opens before the verdict', { skip }, async () => {
  const rules = [{ path: '**/swarm-*', access: 'write', ratio: 1 }];
  const set = {
    'sampling.ratio': '0',
    'sampling.rules': JSON.stringify(rules),
    'limits.metadata_wait': '3s',
  };
  const { spans, counters } = await swarm(set, { isCollectorFirst: true });
  assert.ok(counters.unsampled_late > 0, `unsampled_late counts: ${JSON.stringify(counters)}`);
  assert.equal(spans.length, (OPENS / OPENS_EACH) * Math.ceil(OPENS_EACH / 4));
  assert.deepEqual(statesOf(spans), ['ot=th:0']);
});

test(
  'where nothing asks for the end of an open, what is sampled out is never tracked',
  { skip },
  async () => {
    const { spans, counters } = await swarm({ 'sampling.ratio': '0.5', 'sampling.keep': '[failed]' });
    assert.equal(counters.unsampled_finished, 0);
    assert.equal(counters.unsampled + counters.unsampled_late, OPENS - spans.length);
    assert.deepEqual(statesOf(spans), ['ot=th:8']);
  },
);

test(
  'held files are kept with their reports whatever was drawn, and stand for themselves',
  { skip },
  async () => {
    const count = 23;
    const set = {
      'sampling.ratio': '0',
      'sampling.keep': '[held]',
      'spans.held.after': '1s',
      'spans.held.every': '0',
    };
    const { spans, counters } = await tracedRun({ scenario: 'hold', count, set }, async (run) => {
      run.workload.go();
      await run.workload.line('holding');
      const isReported = (): boolean =>
        run.spans().filter(({ name }) => name.startsWith('held')).length === count;
      for (let looks = 0; looks < 300 && !isReported(); looks += 1) await delay(100);
      assert.ok(isReported(), 'each file is reported');
      run.workload.go();
      await run.workload.finished();
    });
    const [held, files] = [true, false].map((isHeld) =>
      spans.filter(({ name }) => name.startsWith('held') === isHeld),
    );
    assert.deepEqual([held.length, files.length], [count, count]);
    assert.deepEqual(statesOf(spans), ['ot=th:0']);
    assert.equal(sampledOut(counters), ownOpens(counters) - count);
  },
);
