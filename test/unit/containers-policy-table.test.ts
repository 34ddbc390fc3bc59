// What the kernel is told of scopes, and what is remembered of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyTable } from '../../src/containers/policy-table.ts';

/** A kernel's table of bounded size: what it holds, and by which number (bpf/record.h, enum scope_verdict). */
function tableOf(asksOfUnknown: boolean, places = 10) {
  const kernel = new Map<bigint, number>();
  const policy = new PolicyTable(
    {
      judge: (scope, _container, verdict) => {
        if (!kernel.has(scope) && kernel.size === places) return false;
        kernel.set(scope, verdict);
        return true;
      },
      forget: (scope) => void kernel.delete(scope),
    },
    asksOfUnknown,
  );
  /** As the kernel does when a group is made. */
  const made = (scope: bigint): void => {
    kernel.set(scope, 3);
    policy.hold(scope);
  };
  return { policy, kernel, made };
}

test('groups of the host take no place in the kernel, however many there are', () => {
  const { policy, kernel, made } = tableOf(false);
  for (let scope = 1n; scope <= 1000n; scope += 1n) {
    made(scope);
    assert.equal(policy.tell(scope, scope, 'ignore', 0), true);
  }
  assert.equal(kernel.size, 0);
  assert.equal(policy.tell(2000n, 2000n, 'trace', 7), true);
  assert.deepEqual([...kernel], [[2000n, 4 | (7 << 8)]]);
});

test('where the kernel asks about what it lacks, it is told of what is ignored', () => {
  const { policy, kernel, made } = tableOf(true);
  made(5n);
  policy.tell(5n, 5n, 'ignore', 0);
  assert.deepEqual([...kernel], [[5n, 1]]);
  assert.equal(policy.ignoresForGood(5n), true);
  assert.equal(kernel.size, 1);
});

test('a group that was told to be ignored is known for that, and the kernel is told once more', () => {
  const { policy, kernel } = tableOf(false);
  assert.equal(policy.ignoresForGood(5n), false);
  policy.tell(5n, 5n, 'ignore', 0);
  // Its record was lost: user space found it by a look, and the kernel traces it.
  kernel.set(5n, 3);
  assert.equal(policy.ignoresForGood(5n), true);
  assert.equal(kernel.size, 0);
});

test('a verdict that comes after the removal does not bring the scope back', () => {
  const { policy, kernel, made } = tableOf(false);
  made(5n);
  policy.removed(5n);
  policy.tell(5n, 5n, 'trace', 1);
  assert.equal(kernel.size, 0);
  assert.equal(policy.isHeard(5n), true, 'records may wait for the verdict');
});

test('a container that proved to be none after its group went is a stranger, and nothing is kept of it', () => {
  const { policy, made } = tableOf(false);
  made(5n);
  policy.removed(5n);
  policy.tell(5n, 5n, 'ignore', 0);
  assert.equal(policy.isHeard(5n), false);
  assert.equal(policy.ignoresForGood(5n), true);
});

test('the last 16,384 scopes that were forgotten are known for strangers, until they are made again', () => {
  const { policy, made } = tableOf(false);
  for (let scope = 1n; scope <= 16_385n; scope += 1n) policy.forget(scope);
  assert.equal(policy.ignoresForGood(1n), false);
  assert.equal(policy.ignoresForGood(2n), true);
  assert.equal(policy.ignoresForGood(16_385n), true);
  made(2n);
  assert.equal(policy.ignoresForGood(2n), false);
});

test('a full table in the kernel is told', () => {
  const { policy } = tableOf(false, 1);
  assert.equal(policy.tell(1n, 1n, 'trace', 1), true);
  assert.equal(policy.tell(2n, 2n, 'trace', 2), false);
});
