// What a start costs and proves: how long the verifier may look at the programs.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { Tracer } from '../../src/bpf/tracer.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';

const skip = whyNoKernelTests() ?? false;

/**
 * Reason: 100,000 steps are some 0.3 s of a start, whose budget is 1 s. A program that doubles its steps with
 * each branch passes every other test until the kernel refuses it at 1,000,000.
 */
const VERIFIER_STEPS_MAX = 100_000;
const VERIFIER_STEPS_ALL_MAX = 250_000;

/** Loaded with small maps, and nothing attached; nothing is in scope. */
function loadTracer(context: TestContext, reads: 'cast' | 'probe' | 'auto'): Tracer {
  const tracer = new Tracer({
    reads,
    btfPath: null,
    ringBytes: 4096,
    openFilesMax: 64,
    pidMax: 4096,
    selfPid: process.pid,
    hostMountNamespace: 0,
    failedErrnos: [],
    fileTypes: [8],
    excludedMagics: [],
    byCgroup2: true,
    cgroup1Controller: null,
    isHostTraced: false,
    isRuntimePhaseTraced: false,
  });
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
    (context) => {
      const tracer = loadTracer(context, reads);
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
