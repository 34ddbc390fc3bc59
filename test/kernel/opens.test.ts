// Every way to open a file, against what the workload says it did.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;

test(
  'every way to open a file makes one span with the path that the kernel has for it',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'every-open', count: 13 });
  },
);

test('paths up to 4,096 bytes are whole, and longer ones keep their marked tail', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'long-paths', count: 3 });
});

test(
  'names of 255 bytes, with control characters and without valid UTF-8 arrive unambiguous',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'odd-names', count: 7 });
  },
);

test(
  'bind mounts, overlayfs and a changed root are named as the container sees them',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'mounts', count: 5 });
  },
);

test('directories, devices, memfds, sockets, pipes and ENOENT make no span', { skip }, async (t) => {
  const result = await assertTraced(t, { scenario: 'no-spans', count: 11 });
  assert.equal(result?.spans.length, 0);
});

test('opens refused by permission and by limits are spans with their errno', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'failed-opens', count: 7 });
});
