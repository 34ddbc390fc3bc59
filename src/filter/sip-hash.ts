// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits that nobody inverts or predicts without the key.
// In 32-bit halves, as BigInt would allocate for each record.

const KEY_BYTES = 16;
/** "somepseudorandomlygeneratedbytes", as the paper has it; lo and hi of each word. */
const INITIAL = Int32Array.of(
  0x70736575,
  0x736f6d65,
  0x6e646f6d,
  0x646f7261,
  0x6e657261,
  0x6c796765,
  0x79746573,
  0x74656462,
);

export class SipHash {
  /** The hash of the last bytes. */
  lo = 0;
  hi = 0;
  private readonly initial = new Int32Array(8);
  /** v0 to v3, lo and hi. */
  private readonly v = new Int32Array(8);

  /** @param key 16 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key of ${key.length} bytes: give ${KEY_BYTES}`);
    const words = new DataView(key.buffer, key.byteOffset, KEY_BYTES);
    for (let index = 0; index < INITIAL.length; index += 1)
      this.initial[index] = INITIAL[index] ^ words.getInt32((4 * index) % KEY_BYTES, true);
  }

  /** Hashes the bytes at [begin, end). */
  update(bytes: Uint8Array, begin: number, end: number): void {
    const { v } = this;
    v.set(this.initial);
    let at = begin;
    for (; at + 8 <= end; at += 8) this.compress(word(bytes, at, 4), word(bytes, at + 4, 4));
    const lo = word(bytes, at, Math.min(4, end - at));
    const hi = word(bytes, at + 4, Math.max(0, end - at - 4));
    this.compress(lo, hi | ((end - begin) << 24));
    v[4] ^= 0xff;
    this.round();
    this.round();
    this.round();
    this.round();
    this.lo = v[0] ^ v[2] ^ v[4] ^ v[6];
    this.hi = v[1] ^ v[3] ^ v[5] ^ v[7];
  }

  private compress(lo: number, hi: number): void {
    const { v } = this;
    v[6] ^= lo;
    v[7] ^= hi;
    this.round();
    this.round();
    v[0] ^= lo;
    v[1] ^= hi;
  }

  private round(): void {
    this.mix(0, 2, 13);
    this.swap(0);
    this.mix(4, 6, 16);
    this.mix(0, 6, 21);
    this.mix(4, 2, 17);
    this.swap(4);
  }

  /** to += from; from = rotl(from, bits) ^ to. */
  private mix(to: number, from: number, bits: number): void {
    const { v } = this;
    const lo = (v[to] >>> 0) + (v[from] >>> 0);
    v[to] = lo;
    v[to + 1] += v[from + 1] + (lo > 0xffffffff ? 1 : 0);
    const fromLo = v[from];
    const fromHi = v[from + 1];
    v[from] = ((fromLo << bits) | (fromHi >>> (32 - bits))) ^ v[to];
    v[from + 1] = ((fromHi << bits) | (fromLo >>> (32 - bits))) ^ v[to + 1];
  }

  /** Rotates by 32 bits. */
  private swap(of: number): void {
    const { v } = this;
    const lo = v[of];
    v[of] = v[of + 1];
    v[of + 1] = lo;
  }
}

/** Up to four bytes, little-endian. */
function word(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index += 1) value |= bytes[at + index] << (8 * index);
  return value;
}
