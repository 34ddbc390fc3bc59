// Whose opens are traced: found at start, created later, nested, in a v1 hierarchy, and nobody else's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { findHierarchy } from '../helpers/cgroup.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { assertTraced, tracedRun } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const hasV1 = findHierarchy('pids') !== null && findHierarchy('memory') !== null;
const skipV1 = skip || (!hasV1 && 'no v1 hierarchies of pids and memory are mounted');

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

test('a v1 hierarchy that was chosen is the one that counts', { skip: skipV1 }, async (t) => {
  const set = { 'scope.by': 'cgroup1', 'scope.cgroup1_hierarchy': 'memory' };
  const result = await assertTraced(t, { scenario: 'plain-closes', count: 7, hierarchy: 'memory', set });
  assert.match(String(result?.logs.find(({ msg }) => msg === 'ready')?.scope), /v1 hierarchy memory$/);
  const other = await tracedRun({ scenario: 'plain-closes', count: 7, hierarchy: 'pids', set });
  assert.equal(other.spans.length, 0, "a group in another hierarchy isn't seen");
  assert.equal(other.counters.opens_in_scope, 0);
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
