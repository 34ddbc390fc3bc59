// Every way to close a file within one process, and the calls that only look like a close.
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;

test(
  'close ends the span of its descriptor, though the number is used again at once',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'plain-closes', count: 101 });
  },
);

test(
  'close_range ends what it closes; with CLOEXEC, bad flags or an inverted range nothing',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'close-ranges', count: 17 });
  },
);

test('duplicates extend the span, and dup2 over the last descriptor ends it', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'duplicates', count: 13 });
});

test('a shell redirection is one span that covers the write', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'shell-redirect', count: 11 });
});

test('two threads that close one number at once end one span', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'racing-closes', count: 499 });
});
