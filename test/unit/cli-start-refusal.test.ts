import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BpfError } from '../../src/bpf/bpf-object.ts';
import { LibbpfMissingError } from '../../src/bpf/libbpf.ts';
import { refusalOf } from '../../src/cli/start-refusal.ts';
import { ConfigError } from '../../src/config/problems.ts';
import { NoScopeError } from '../../src/containers/scope-choice.ts';
import { parseEndpoint } from '../../src/export/endpoint.ts';

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing thrown');
}

test('each reason not to start has the exit code of the contract', () => {
  const [EPERM, EINVAL] = [1, 22];
  for (const [error, exitCode] of [
    [new BpfError('loading', EPERM), 77],
    [new BpfError('loading', EINVAL), 69],
    [new LibbpfMissingError('no libbpf'), 69],
    [new NoScopeError('no cgroups'), 69],
    [new ConfigError([{ source: '--set', key: 'attach', message: 'x' }]), 78],
    [thrown(() => parseEndpoint('ftp://c', 'grpc')), 78],
  ] as const) {
    const refusal = refusalOf(error);
    assert.equal(refusal?.exitCode, exitCode, String(error));
    assert.ok(refusal.reason.includes((error as Error).message));
  }
});

test('anything else is a bug', () => {
  for (const error of [new TypeError('x is not a function'), 'text', null, undefined]) {
    assert.equal(refusalOf(error), null);
  }
});
