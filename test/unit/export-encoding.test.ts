import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { compress, recompress, type Encoding } from '../../src/export/encoding.ts';

const DECODERS: Readonly<Record<Encoding, (bytes: Buffer) => Buffer>> = {
  identity: (bytes) => bytes,
  gzip: gunzipSync,
  zstd: zstdDecompressSync,
};

const BODIES = [0, 1, 3000, 100_000, 1_000_000].flatMap((bytes) => [
  Buffer.alloc(bytes, 'ab'),
  randomBytes(bytes),
]);

for (const encoding of ['identity', 'gzip', 'zstd'] as const) {
  test(`a body in ${encoding} is what was given, in memory of just its size`, async () => {
    for (const bytes of BODIES) {
      const body = await compress(bytes, encoding);
      assert.deepEqual(DECODERS[encoding](body), bytes);
      assert.notEqual(body.buffer, bytes.buffer);
      assert.equal(body.buffer.byteLength, body.length, `of ${bytes.length} bytes`);
      for (const other of ['identity', 'gzip', 'zstd'] as const) {
        const again = await recompress(body, encoding, other);
        assert.deepEqual(DECODERS[other](again), bytes);
        assert.equal(again.buffer.byteLength, again.length, `${other} of ${bytes.length} bytes`);
      }
    }
  });
}
