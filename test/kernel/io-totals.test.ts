// Bytes and calls through each open file, against the results of the workload's own calls.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { tracedRun } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const COUNT = 11;
const KEYS = ['read.bytes', 'read.calls', 'write.bytes', 'write.calls'].map((name) => `fdspan.io.${name}`);

for (const reads of ['cast', 'probe'])
  test(
    `reads by ${reads}: every call that reads or writes is in the totals of the file's span`,
    { skip },
    async () => {
      const set = { 'spans.io_totals': 'true', 'kernel.reads': reads };
      const { workload, spans } = await tracedRun({ scenario: 'io-totals', count: COUNT, set });
      const expected = workload.lines.filter((line) => 'io' in line);
      assert.equal(expected.length, 5 * COUNT);
      assert.equal(spans.length, expected.length);
      for (const { io, totals } of expected) {
        const span = spans.find(({ attributes }) => attributes['file.path'] === io);
        assert.deepEqual(
          KEYS.map((key) => String(span?.attributes[key])),
          totals,
          String(io),
        );
      }
    },
  );

test('when they are not asked for, spans have no totals', { skip }, async () => {
  const { spans } = await tracedRun({ scenario: 'io-totals', count: 1 });
  assert.equal(spans.length, 5);
  for (const { attributes } of spans)
    assert.deepEqual(
      Object.keys(attributes).filter((key) => key.startsWith('fdspan.io.')),
      [],
    );
});
