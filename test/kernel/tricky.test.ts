// Calls whose entry and exit don't come in pairs, and closes that no call makes.
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;

test(
  'an open restarted after a signal is one span from its first entry; without restart it is EINTR',
  { skip },
  async (t) => {
    const set = { 'files.types': '[regular, fifo]', 'spans.failed_opens': '[EINTR]' };
    await assertTraced(t, { scenario: 'interrupted-opens', count: 7, set });
  },
);

test('an open that seccomp refuses does not take the start of the open before it', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'seccomp-refused', count: 13 });
});

test(
  'a file closed by io_uring ends as lost, and the next one with its number is right',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'uring-closes', count: 13 });
  },
);
