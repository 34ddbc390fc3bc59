// Ends that come with a process: exec, exit, signals; and descriptors that others hold too.
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;

test('exec ends close-on-exec descriptors, however marked, and no others', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'execs', count: 7 });
});

test('the exit of a process ends what it had open', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'exits', count: 31 });
});

test('997 processes of two threads that end by exit_group send one exit span each', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'group-exits', count: 997 });
});

test('997 processes of two threads that end by SIGKILL send one exit span each', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'kills', count: 997 });
});

test('the end of the leading thread alone ends nothing', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'leader-exits', count: 13 });
});

test('a forked child that closes or exits ends nothing of its parent', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'forks', count: 31 });
});

test('posix_spawn with file actions ends nothing of its parent', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'spawns', count: 13 });
});

test('the exec of a child that shares the table ends nothing of its parent', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'shared-table-execs', count: 13 });
});

test('a process that shares the table ends the span by closing its last descriptor', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'shared-table-closes', count: 13 });
});

test('a close in an unshared copy of the table ends nothing', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'unshares', count: 13 });
});

test('who receives a descriptor by SCM_RIGHTS neither owns nor extends a span', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'passed-fds', count: 13 });
});

test('who takes a descriptor by pidfd_getfd neither owns nor extends a span', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'taken-fds', count: 13 });
});

test(
  'a threaded process that dumps core sends one span for each file that it had open',
  { skip },
  async (t) => {
    await assertTraced(t, { scenario: 'core-dumps', count: 97 });
  },
);
