// What a start costs and proves: how long the verifier may look at the programs, and that they see calls.
import assert from 'node:assert/strict';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { NOTHING_WANTED } from '../../src/bpf/live-filters.ts';
import type { TracerOptions } from '../../src/bpf/settings.ts';
import { KernelUnfitError } from '../../src/bpf/kernel-hooks.ts';
import { LOAD_ONLY } from '../../src/bpf/probe.ts';
import { Tracer } from '../../src/bpf/tracer.ts';
import { VERDICT_TRACE } from '../../src/model/record-layout.ts';
import { findHierarchy, makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';

const skip = whyNoKernelTests() ?? false;

/**
 * Reason: 100,000 steps are some 0.3 s of a start, whose budget is 1 s. A program that doubles its steps with
 * each branch passes every other test until the kernel refuses it at 1,000,000.
 */
const VERIFIER_STEPS_MAX = 100_000;
const VERIFIER_STEPS_ALL_MAX = 350_000;

/** Loaded with small maps, and nothing attached; nothing is in scope. */
async function loadTracer(context: TestContext, options: Partial<TracerOptions> = {}): Promise<Tracer> {
  const filters = { ...NOTHING_WANTED, fileTypes: [8] };
  const tracer = await Tracer.open({ ...LOAD_ONLY, filters, ...options });
  context.after(() => tracer.close());
  return tracer;
}

/** What the kernel shows of each program that this process holds (Linux 5.16 and newer). */
function shownSteps(): number[] {
  const steps: number[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (!readlinkSync(`/proc/self/fd/${fd}`).endsWith('bpf-prog')) continue;
      const shown = /^verified_insns:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
      if (shown !== null) steps.push(Number(shown[1]));
    } catch {
      // The descriptor of the folder itself is gone by now.
    }
  }
  return steps;
}

for (const reads of ['cast', 'probe'] as const)
  test(
    `reads by ${reads}: the verifier takes no more than its steps for each program`,
    { skip },
    async (context) => {
      const tracer = await loadTracer(context, {
        reads,
        hasIoTotals: true,
        metrics: { slotsMax: 2, durationBoundsNs: [1n], failureErrnos: [1] },
      });
      const shown = shownSteps();
      if (shown.length === 0) {
        context.skip('this kernel does not tell the steps of its verifier (Linux 5.16 does)');
        return;
      }
      const steps = [...tracer.verifierSteps];
      assert.deepEqual(steps.map(([, count]) => count).sort(byNumber), shown.sort(byNumber));
      const tooLong = steps.filter(([, count]) => count > VERIFIER_STEPS_MAX);
      assert.deepEqual(tooLong, [], `at most ${VERIFIER_STEPS_MAX} steps each`);
      const all = shown.reduce((sum, count) => sum + count, 0);
      assert.ok(all <= VERIFIER_STEPS_ALL_MAX, `${all} steps of all programs: ${JSON.stringify(steps)}`);
    },
  );

function byNumber(left: number, right: number): number {
  return left - right;
}

for (const reads of ['cast', 'probe'] as const)
  test(
    `reads by ${reads}: attached programs prove that they see an open and a close`,
    { skip },
    async (context) => {
      const tracer = await loadTracer(context, { reads });
      assert.equal(tracer.isSeeing, false, 'before they are attached');
      tracer.attachCalls();
      tracer.proveAttached();
      assert.equal(tracer.isSeeing, true);
      tracer.detach();
      assert.equal(tracer.isSeeing, false, 'after they were detached');
    },
  );

const MISSING = [
  { hook: 'sys_enter', named: /: sys_enter \(of the open\), sys_enter \(of the close\) saw nothing/ },
  { hook: 'sys_exit', named: /: sys_exit \(of the open\) saw nothing/ },
];

for (const { hook, named } of MISSING)
  test(
    `with ${hook} not attached the start is refused by an error that names it`,
    { skip },
    async (context) => {
      const tracer = await loadTracer(context);
      tracer.attachCalls(tracer.hooks.filter((name) => name !== hook));
      assert.throws(
        () => tracer.proveAttached(),
        (error: unknown) => error instanceof KernelUnfitError && named.test(error.message),
      );
    },
  );

test(
  'the self-test moves no counter, even where its own opens would be traced',
  { skip },
  async (context) => {
    const group = makeContainerGroup();
    const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))![1];
    group.add(process.pid);
    context.after(async () => {
      writeFileSync(join(findHierarchy('v2')!, own, 'cgroup.procs'), String(process.pid));
      await group.remove();
    });
    const tracer = await loadTracer(context, {
      isSelfTraced: true,
      filters: { ...NOTHING_WANTED, fileTypes: [4, 8] },
      isRuntimePhaseTraced: true,
    });
    const scope = statSync(group.folder, { bigint: true }).ino;
    assert.ok(tracer.judge(scope, scope, VERDICT_TRACE, false));
    tracer.attachCalls();
    const before = tracer.counters.read();
    for (let i = 0; i < 101; i++) assert.equal(tracer.isSeeing, true);
    assert.deepEqual(tracer.counters.read(), before);
    for (let i = 0; i < 7; i++) closeSync(openSync('/', 'r'));
    const { opens_in_scope: opens, pairs_finished: pairs } = tracer.counters.read();
    assert.deepEqual([opens, pairs], [before.opens_in_scope + 7, before.pairs_finished + 7]);
  },
);

test(
  'fdspan is ready only after its own open and close were seen, and counts neither',
  { skip },
  async (context) => {
    const group = makeContainerGroup();
    context.after(() => group.remove());
    const collector = await startCollector({
      endpoint: 'http://127.0.0.1:1',
      containerIds: [group.id],
      set: { 'telemetry.log_level': 'debug' },
    });
    context.after(() => collector.kill());
    const { logs, counters } = await collector.stop();
    const said = logs.map(({ msg }) => msg);
    assert.ok(said.includes('the programs see an open and a close'), said.join('\n'));
    assert.ok(said.indexOf('the programs see an open and a close') < said.indexOf('ready'), said.join('\n'));
    assert.equal(counters.opens_in_scope, 0);
    assert.equal(counters.records_read, 0);
  },
);
