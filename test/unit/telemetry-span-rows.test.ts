import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRows, RowBudget } from '../../src/telemetry/span-rows.ts';
import { encodeRequest, type SpanSource } from './telemetry-otlp-bytes.ts';

const START_NS = 1_767_323_045_123_456_789n;

function span(path: string, durationNs = 1500n): SpanSource {
  return {
    startNs: START_NS,
    endNs: START_NS + durationNs,
    attributes: {
      'file.path': path,
      'fdspan.access': 'read',
      'fdspan.open.flags': 'O_RDONLY',
      'fdspan.close.reason': 'close',
      'process.pid': 4_194_304,
      'process.executable.name': 'cat',
    },
  };
}

const resource = { 'service.name': 'web', 'container.id': 'abc', 'container.runtime.name': 'podman' };

test('a row says what the span says, to the nanosecond', () => {
  const { rows } = decodeRows(encodeRequest(resource, [span('/etc/hosts')]), 10);
  assert.deepEqual(rows, [
    {
      time: '2026-01-02T03:04:05.123456789Z',
      container: 'web',
      container_id: 'abc',
      runtime: 'podman',
      process: 'cat',
      pid: 4_194_304,
      path: '/etc/hosts',
      access: 'read',
      flags: 'O_RDONLY',
      duration_ns: 1500,
      reason: 'close',
      error: '',
    },
  ]);
});

test('a program that is many in one file is shown by what it was called as', () => {
  const source = span('/etc/hosts');
  const processOf = (executable: string, comm: string): string => {
    const attributes = {
      ...source.attributes,
      'process.executable.name': executable,
      ...(comm === '' ? {} : { 'thread.name': comm }),
    };
    return decodeRows(encodeRequest(resource, [{ ...source, attributes }]), 10).rows[0].process;
  };
  assert.equal(processOf('busybox', 'grep'), 'grep');
  assert.equal(processOf('busybox', ''), 'busybox', 'lean spans have no thread.name');
  assert.equal(processOf('node', 'MainThread'), 'node');
});

test('spans above the limit are counted, not decoded', () => {
  const request = encodeRequest(
    resource,
    Array.from({ length: 2048 }, (_, i) => span(`/f${i}`)),
  );
  const { rows, spans, skipped } = decodeRows(request, 7);
  assert.deepEqual([rows.length, spans, skipped], [7, 2048, 2041]);
  assert.equal(rows[6].path, '/f6');
});

test('a span without a path is no row', () => {
  const root = { startNs: 1n, endNs: 2n, attributes: { 'process.pid': 1 } };
  const { rows, spans, skipped } = decodeRows(encodeRequest(resource, [root, span('/a')]), 10);
  assert.deepEqual([rows.length, spans, skipped], [1, 2, 0]);
});

test('the budget of a second is spent over its requests and comes back with the next second', () => {
  let nowMs = 0;
  const budget = new RowBudget(5, () => nowMs);
  const request = encodeRequest(resource, [span('/a'), span('/b'), span('/c')]);
  const shown = (): number => budget.decode(request).rows.length;
  assert.deepEqual([shown(), shown(), shown()], [3, 2, 0]);
  nowMs += 1000;
  assert.equal(shown(), 3);
});
