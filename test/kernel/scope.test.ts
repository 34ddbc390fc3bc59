// Whose opens are traced: found at start, created later, nested, in a v1 hierarchy, and nobody else's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { findHierarchy } from '../helpers/cgroup.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced, tracedRun } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const skipV1 = skip || (findHierarchy('pids') === null && 'no v1 hierarchy is mounted (a pure v2 host)');

test('threads of several processes keep their order and their own descriptors', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'many-threads', count: 31 });
});

test('a container created while fdspan runs is traced from its first open', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'plain-closes', count: 13, isCollectorFirst: true });
});

test('a group nested in a container is traced as that container', { skip }, async (t) => {
  await assertTraced(t, { scenario: 'plain-closes', count: 7, nestedGroup: 'init.scope' });
});

test('a group nested in a running container while fdspan runs inherits its verdict', { skip }, async (t) => {
  const options = { scenario: 'plain-closes', count: 7, nestedGroup: 'late.scope', isCollectorFirst: true };
  await assertTraced(t, options);
});

test('a container that has only a v1 group is traced by that hierarchy', { skip: skipV1 }, async (t) => {
  const result = await assertTraced(t, { scenario: 'plain-closes', count: 7, hierarchy: 'pids' });
  assert.equal(result?.spans[0].resource['fdspan.cgroup.version'], 'v1');
});

test('files opened on the host meanwhile make no span', { skip }, async () => {
  const result = await tracedRun({ scenario: 'plain-closes', count: 7 }, async ({ workload }) => {
    for (let i = 0; i < 101; i++) readFileSync(import.meta.filename);
    workload.go();
    await workload.finished();
    for (let i = 0; i < 101; i++) readFileSync(import.meta.filename);
  });
  assert.equal(result.spans.length, 14);
  assert.equal(result.counters.opens_in_scope, 14);
});
