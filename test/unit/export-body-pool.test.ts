import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyPool } from '../../src/export/body-pool.ts';

const MIB = 1 << 20;

test('a large body that was given back serves the next one of about its size', () => {
  const pool = new BodyPool();
  const first = pool.copy(new Uint8Array(MIB).fill(1));
  assert.ok(first.every((byte) => byte === 1));
  pool.giveBack(first);
  const second = pool.copy(new Uint8Array(MIB - 1000).fill(2));
  assert.equal(second.buffer, first.buffer);
  assert.equal(second.length, MIB - 1000);
  assert.ok(second.every((byte) => byte === 2));
});

test('a body that is still in use is never handed out again', () => {
  const pool = new BodyPool();
  const bodies = Array.from({ length: 20 }, (_, index) => pool.copy(new Uint8Array(MIB).fill(index)));
  assert.equal(new Set(bodies.map(({ buffer }) => buffer)).size, 20);
  bodies.forEach((body, index) => assert.ok(body.every((byte) => byte === index)));
});

test('small bodies hold no more memory than their own, and foreign ones are not taken', () => {
  const pool = new BodyPool();
  const small = Buffer.alloc(2000, 3);
  assert.equal(pool.copy(small).buffer.byteLength, 2000);
  const foreign = Buffer.alloc(MIB + 8).subarray(8);
  pool.giveBack(foreign);
  assert.notEqual(pool.copy(new Uint8Array(MIB)).buffer, foreign.buffer);
});
