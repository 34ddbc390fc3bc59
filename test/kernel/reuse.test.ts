// Numbers that are given again at once: of processes, of descriptors, and the addresses of open files with them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced } from './traced-run.ts';

const PROCESSES = 60;

test(
  'processes that have one number, one after the other, are executions of their own with their own files',
  { skip: whyNoKernelTests() ?? false },
  async (t) => {
    const result = await assertTraced(t, { scenario: 'pid-reuse', count: PROCESSES });
    if (result === null) return;
    const expected = result.workload.expected;
    assert.equal(expected.length, 2 * PROCESSES);
    assert.equal(new Set(expected.map(({ pid, fd }) => `${pid} ${fd}`)).size, 1, 'one number for all');
    const executions = new Set(result.roots.map(({ span }) => span.attributes['fdspan.execution.id']));
    assert.equal(executions.size, PROCESSES);
    const opens = result.roots.map(({ span }) => Number(span.attributes['fdspan.opens']));
    assert.deepEqual(
      opens,
      Array.from({ length: PROCESSES }, () => 2),
    );
    assert.equal(result.counters.pairs_lost, 0);
  },
);
