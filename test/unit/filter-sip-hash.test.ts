import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SipHash } from '../../src/filter/sip-hash.ts';

/** Of the reference implementation (vectors_sip64), by the length of the text 00 01 02 …; the key is 00 … 0f. */
const VECTORS: Readonly<Record<number, string>> = {
  0: '310e0edd47db6f72',
  1: 'fd67dc93c539f874',
  7: '37d1018bf50002ab',
  8: '6224939a79f5f593',
  15: 'e545be4961ca29a1',
  63: '724506eb4c328a95',
};

test('the hash is SipHash-2-4, wherever the bytes lie', () => {
  const hash = new SipHash(Uint8Array.from({ length: 16 }, (_, index) => index));
  for (const [length, expected] of Object.entries(VECTORS)) {
    for (const offset of [0, 1, 3]) {
      const bytes = Uint8Array.from({ length: 80 }, (_, index) => index - offset);
      hash.update(bytes, offset, offset + Number(length));
      const out = Buffer.alloc(8);
      out.writeInt32LE(hash.lo, 0);
      out.writeInt32LE(hash.hi, 4);
      assert.equal(out.toString('hex'), expected, `${length} bytes from ${offset}`);
    }
  }
});

test('another key gives other hashes, and a key of another length is refused', () => {
  const text = Buffer.from('/home/alice');
  const [one, other] = [7, 8].map((first) => {
    const hash = new SipHash(new Uint8Array(16).fill(first));
    hash.update(text, 0, text.length);
    return [hash.lo, hash.hi];
  });
  assert.notDeepEqual(one, other);
  assert.throws(() => new SipHash(new Uint8Array(15)), /15 bytes: give 16/);
});
