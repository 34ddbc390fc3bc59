// SIGHUP changes the filters of a running collector: nothing of what is open is lost, each open is judged by the
// filters of its moment, and a file with one mistake changes nothing.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import {
  startCollector,
  whyNoKernelTests,
  type Collector,
  type Counters,
} from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload, type Workload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const DEADLINE_MS = 20_000;
const RELOADED = 'configuration reloaded';
const REFUSED = 'the new configuration is refused, the old one stays';

interface Bench {
  readonly collector: Collector;
  readonly start: (scenario: string, count: number) => Promise<Workload>;
  /** Writes the file, sends SIGHUP and waits for the answer. */
  readonly reload: (text: string, answer?: string) => Promise<void>;
  readonly stop: () => Promise<Counters>;
  /** Received spans whose path has this. */
  readonly spansOf: (part: string) => number;
}

async function startBench(t: TestContext, text: string): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-reload-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const file = join(folder, 'fdspan.yaml');
  writeFileSync(file, text);
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol: 'http/protobuf',
    containerIds: [group.id],
    configFile: file,
    set: {
      'limits.stop_spans': '0',
      'limits.ring': '64MiB',
      'limits.stop_deadline': '60s',
      'export.queue.bytes_max': '1GiB',
    },
  });
  t.after(() => collector.kill());
  let answers = 0;
  return {
    collector,
    start: async (scenario, count) => {
      const workload = await startWorkload({ scenario, count, procsFiles: [group.procsFile] });
      t.after(() => workload.end());
      return workload;
    },
    reload: async (next, answer = RELOADED) => {
      writeFileSync(file, next);
      process.kill(collector.pid, 'SIGHUP');
      answers += 1;
      const said = (): number =>
        collector.logs.filter(({ msg }) => msg === RELOADED || msg === REFUSED).length;
      const deadlineMs = performance.now() + DEADLINE_MS;
      while (said() < answers) {
        assert.ok(performance.now() < deadlineMs, `no answer: ${JSON.stringify(collector.logs)}`);
        await delay(5);
      }
      const last = collector.logs.findLast(({ msg }) => msg === RELOADED || msg === REFUSED);
      assert.equal(last?.msg, answer, JSON.stringify(last));
    },
    stop: async () => (await collector.stop()).counters,
    spansOf: (part) =>
      receiver.spans.filter(({ span }) => (span.attributes['file.path'] as string).includes(part)).length,
  };
}

test(
  'files that are open over a reload make their spans, new opens obey the new filters',
  { skip },
  async (t) => {
    const held = 503;
    const bench = await startBench(t, 'files: {exclude: []}\n');
    const workload = await bench.start('hold', held);
    workload.go();
    await workload.line('holding');
    await bench.reload('files: {exclude: ["**/held-*", "**/burst-*"]}\n');
    const refused = await bench.start('burst', 31);
    refused.go();
    await refused.finished();
    workload.go();
    await workload.finished();
    const counters = await bench.stop();
    assert.equal(bench.spansOf('/held-'), held);
    assert.equal(bench.spansOf('/burst-'), 0);
    assert.equal(counters.path_excluded, 31);
    assert.equal(counters.opens_in_scope, held + 31);
  },
);

test('spans.min_duration of the moment of the close counts', { skip }, async (t) => {
  const bench = await startBench(t, '');
  const [first, second] = [await bench.start('hold', 17), await bench.start('hold', 19)];
  for (const workload of [first, second]) {
    workload.go();
    await workload.line('holding');
  }
  await bench.reload('spans: {min_duration: 24h}\n');
  first.go();
  await first.finished();
  await bench.reload('spans: {min_duration: 0}\n');
  second.go();
  await second.finished();
  const counters = await bench.stop();
  assert.equal(counters.too_short, 17);
  assert.equal(bench.spansOf('/held-'), 19);
});

test(
  'reloads under load: each open of 200,003 is a span or counted by the filter that met it',
  { skip },
  async (t) => {
    const opens = 200_003;
    // The log tells the same thing ten times a minute.
    const reloads = 9;
    const bench = await startBench(t, 'files: {exclude: ["**/hammer-[0-3]-*"]}\n');
    const workload = await bench.start('hammer', opens);
    const finished = workload.finished();
    workload.go();
    let done = 0;
    let isRunning = true;
    void finished.finally(() => (isRunning = false));
    const filters = ['exclude: ["**/hammer-[4-7]-*"]', 'exclude: []', 'exclude: ["**/hammer-[0-3]-*"]'];
    while (isRunning && done < reloads) {
      await bench.reload(`files: {${filters[done % filters.length]}}\n`);
      done += 1;
    }
    await finished;
    const counters = await bench.stop();
    t.diagnostic(`${done} reloads while the workload ran; ${counters.path_excluded} excluded`);
    assert.ok(done >= 1, `${done} reloads`);
    const told = JSON.stringify(counters);
    // On a busy machine more opens than can wait may come before the verdict.
    const overflow = Number(counters.unjudged_overflow);
    assert.equal(Number(counters.spans_encoded) + Number(counters.path_excluded) + overflow, opens, told);
    assert.equal(bench.spansOf('/hammer-'), counters.spans_accepted, told);
    assert.ok(Number(counters.path_excluded) > 0 && bench.spansOf('/hammer-') > 0);
  },
);

/** A mistake of each key; the rest of the file would leave everything out. */
const MISTAKES: readonly (readonly [text: string, named: RegExp])[] = [
  ['files: {exclude: ["/**", "/a[b"]}', /files\.exclude\[1\]: .*\[ without \]/],
  ['files: {exclude: ["/**"], include: ["{a"]}', /files\.include\[0\]: .*\{ without \}/],
  ['files: {exclude: ["/**"], access: [append]}', /files\.access\[0\]: .*append.*read, write/],
  ['files: {exclude: ["/**"], types: [socket]}', /files\.types\[0\]/],
  ['files: {exclude: ["/**"], exclude_filesystems: [nope]}', /files\.exclude_filesystems\[0\]/],
  ['files: {exclude: ["/**"]}\nprocesses: {exclude: [""]}', /processes\.exclude\[0\]/],
  ['processes: {users: [no-such-user-here]}', /processes\.users\[0\]: .*isn't a user of \/etc\/passwd/],
  ['processes: {users: [9-1]}', /processes\.users\[0\]: .*range/],
  ['spans: {min_duration: soon}', /spans\.min_duration/],
  ['files: {exclude: ["/**"]}\nspans: {failed_opens: [ENOPE]}', /spans\.failed_opens\[0\]/],
];

test('a file with one mistake is refused whole, whichever key has it', { skip }, async (t) => {
  const bench = await startBench(t, 'files: {exclude: ["**/nothing"]}\n');
  for (const [text, named] of MISTAKES) {
    await bench.reload(`${text}\n`, REFUSED);
    assert.match(String(bench.collector.logs.at(-1)?.error), named);
  }
  const workload = await bench.start('burst', 31);
  workload.go();
  await workload.finished();
  const counters = await bench.stop();
  assert.equal(bench.spansOf('/burst-'), 31);
  assert.equal(counters.path_excluded, 0);
});
