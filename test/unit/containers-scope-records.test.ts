import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeScopeRecord } from '../../src/containers/scope-records.ts';

/** Offsets as bpf/record.h lays the structs out. */
function created(path: Buffer, pathBytes = path.length): Buffer {
  const bytes = Buffer.alloc(32);
  bytes[0] = 2;
  bytes.writeUInt16LE(pathBytes, 4);
  bytes.writeUInt16LE(1, 6);
  bytes.writeBigUInt64LE(0x4000_0000_0000_0007n, 8);
  bytes.writeBigUInt64LE(5n, 16);
  bytes.writeUInt32LE(3, 24);
  return Buffer.concat([bytes, path]);
}

test('decodes the records about scopes', () => {
  assert.deepEqual(decodeScopeRecord(created(Buffer.from([0x2f, 0xff]))), {
    type: 'created',
    scope: 0x4000_0000_0000_0007n,
    containerScope: 5n,
    path: '/\xff',
    isPathTruncated: true,
    kernelVerdict: 3,
  });
  const removed = Buffer.alloc(16);
  removed[0] = 3;
  removed.writeBigUInt64LE(9n, 8);
  assert.deepEqual(decodeScopeRecord(removed), { type: 'removed', scope: 9n });
  const described = Buffer.alloc(136);
  described.writeUInt32LE(42, 4);
  described.writeBigUInt64LE(9n, 8);
  described.writeBigUInt64LE(77n, 16);
  described.writeBigUInt64LE(5n, 24);
  described.writeBigUInt64LE(0x4000_0000_0000_0006n, 32);
  for (let i = 0; i < 7; i++) described.writeUInt32LE(4026531840 + i, 40 + 4 * i);
  described.write('web', 72);
  for (const [kind, type] of [
    [4, 'described'],
    [5, 'met'],
  ] as const) {
    described[0] = kind;
    assert.deepEqual(decodeScopeRecord(described), {
      type,
      scope: 9n,
      pid: 42,
      processStartedBootNs: 77n,
      groups: [5n, 0x4000_0000_0000_0006n],
      namespaces: Uint32Array.from([0, 1, 2, 3, 4, 5, 6], (i) => 4026531840 + i),
      hostname: 'web',
    });
  }
});

test('refuses records that are cut, of another kind or with a path beyond their end', () => {
  assert.equal(decodeScopeRecord(created(Buffer.from('/a'), 3)), null);
  assert.equal(decodeScopeRecord(created(Buffer.alloc(5000))), null);
  assert.equal(decodeScopeRecord(created(Buffer.from('/a')).subarray(0, 31)), null);
  assert.equal(decodeScopeRecord(Buffer.alloc(200, 1)), null);
  assert.equal(decodeScopeRecord(new Uint8Array(0)), null);
});
