// The arena that spans are written to in arrival order, and the writes that the hot path needs. The
// caller makes sure that a whole span fits before it begins one.

const ZERO = 0x30;
const BACKSLASH = 0x5c;
/** The bit of each byte of a varint but its last. */
const CONTINUED = 0x80808080 | 0;
const HEX_DIGITS = Buffer.from('0123456789abcdef');

export class SpanArena {
  readonly bytes: Buffer<ArrayBufferLike>;
  /** The same bytes, for whole words. */
  readonly view: DataView;
  position = 0;
  /** True once `text` met bytes that aren't UTF-8. */
  wasEscaped = false;
  private readonly digits = new Uint8Array(20);

  constructor(bytes: Buffer<ArrayBufferLike>) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Copies bytes of any length. */
  copy(from: Uint8Array): void {
    this.bytes.set(from, this.position);
    this.position += from.length;
  }

  /**
   * Copies a short block in words: up to 3 bytes behind its end are read and written as well, so that both sides must have
   * as many more. A call of `set` would cost more than the copy.
   */
  copyWords(from: DataView, begin: number, end: number): void {
    const { view } = this;
    let to = this.position;
    for (let at = begin; at < end; at += 4, to += 4) view.setInt32(to, from.getInt32(at, true), true);
    this.position += end - begin;
  }

  /** Writes 32 bits, little-endian, at `at`. */
  patchFixed32(at: number, value: number): void {
    this.view.setInt32(at, value, true);
  }

  /** Writes a boot time plus an offset to the wall clock: 64 bits, little-endian. All words are signed. */
  patchTime(at: number, lo: number, hi: number, offsetLo: number, offsetHi: number): void {
    const sum = (lo >>> 0) + (offsetLo >>> 0);
    this.patchFixed32(at, sum | 0);
    this.patchFixed32(at + 4, (hi + offsetHi + (sum > 0xffffffff ? 1 : 0)) | 0);
  }

  /** Writes a length below 2 MiB as a varint of 3 bytes at `at`. */
  patchLength(at: number, value: number): void {
    this.view.setInt16(at, (value & 0x7f) | ((value & 0x3f80) << 1) | 0x8080, true);
    this.bytes[at + 2] = (value >>> 14) & 0x7f;
  }

  /** Writes 32 bits, unsigned, as a varint of 5 bytes at `at`. */
  patchInt32(at: number, value: number): void {
    this.view.setInt32(at, spread28(value) | CONTINUED, true);
    this.bytes[at + 4] = value >>> 28;
  }

  /** Writes 64 bits as a varint of 10 bytes at `at`. */
  patchInt64(at: number, lo: number, hi: number): void {
    this.view.setInt32(at, spread28(lo) | CONTINUED, true);
    this.view.setInt32(at + 4, spread28((lo >>> 28) | (hi << 4)) | CONTINUED, true);
    this.bytes[at + 8] = (hi >>> 24) | 0x80;
    this.bytes[at + 9] = hi >>> 31;
  }

  /** Writes an unsigned number below 2^53 in decimal. */
  decimal(value: number): void {
    let rest = value;
    let count = 0;
    while (rest > 0x7fffffff) {
      const quotient = Math.floor(rest / 10);
      this.digits[count++] = ZERO + (rest - quotient * 10);
      rest = quotient;
    }
    let small = rest | 0;
    do {
      const quotient = (small / 10) | 0;
      this.digits[count++] = ZERO + (small - quotient * 10);
      small = quotient;
    } while (small > 0);
    this.reversed(count);
  }

  /** Writes an unsigned 64-bit number, of any two words, in decimal, by long division of its 16-bit parts. */
  decimal64(lo: number, hi: number): void {
    if (hi === 0 && lo >= 0) return this.decimal(lo);
    let part3 = hi >>> 16;
    let part2 = hi & 0xffff;
    let part1 = lo >>> 16;
    let part0 = lo & 0xffff;
    let count = 0;
    do {
      part2 += (part3 % 10) << 16;
      part3 = (part3 / 10) | 0;
      part1 += (part2 % 10) << 16;
      part2 = (part2 / 10) | 0;
      part0 += (part1 % 10) << 16;
      part1 = (part1 / 10) | 0;
      this.digits[count++] = ZERO + (part0 % 10);
      part0 = (part0 / 10) | 0;
    } while ((part3 | part2 | part1 | part0) !== 0);
    this.reversed(count);
  }

  /** Appends the digits, the last one first. */
  private reversed(count: number): void {
    const { bytes, digits } = this;
    let to = this.position;
    for (let at = count - 1; at >= 0; at -= 1) bytes[to++] = digits[at];
    this.position = to;
  }

  /** Writes 32 bits as eight hexadecimal digits. */
  hexadecimal(value: number): void {
    const { bytes } = this;
    for (let shift = 28; shift >= 0; shift -= 4) bytes[this.position++] = HEX_DIGITS[(value >>> shift) & 15];
  }

  /** Writes the permission bits of st_mode as four octal digits. */
  octalMode(mode: number): void {
    const { bytes } = this;
    bytes[this.position++] = ZERO + ((mode >>> 9) & 7);
    bytes[this.position++] = ZERO + ((mode >>> 6) & 7);
    bytes[this.position++] = ZERO + ((mode >>> 3) & 7);
    bytes[this.position++] = ZERO + (mode & 7);
  }

  /**
   * Copies text, with each byte that isn't valid UTF-8 as `\xNN` (four bytes for one). A backslash that
   * the text holds stays as it is; `wasEscaped` tells the two apart.
   */
  text(from: Uint8Array, begin: number, end: number): void {
    const { bytes } = this;
    let to = this.position;
    let at = begin;
    while (at < end) {
      const byte = from[at];
      if (byte < 0x80) {
        bytes[to++] = byte;
        at += 1;
        continue;
      }
      const sequenceBytes = utf8SequenceBytes(from, at, end);
      if (sequenceBytes === 0) {
        bytes[to++] = BACKSLASH;
        bytes[to++] = 0x78;
        bytes[to++] = HEX_DIGITS[byte >>> 4];
        bytes[to++] = HEX_DIGITS[byte & 15];
        at += 1;
        this.wasEscaped = true;
      }
      for (let count = 0; count < sequenceBytes; count += 1) bytes[to++] = from[at++];
    }
    this.position = to;
  }
}

/** Returns the low 28 bits, seven in each byte. */
function spread28(value: number): number {
  return (value & 0x7f) | ((value & 0x3f80) << 1) | ((value & 0x1fc000) << 2) | ((value & 0xfe00000) << 3);
}

/** Returns the length of the well-formed multi-byte sequence at `at`, or 0 (Unicode 3.9, table 3-7). */
function utf8SequenceBytes(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at];
  const sequenceBytes = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (sequenceBytes === 0 || at + sequenceBytes > end) return 0;
  for (let index = 1; index < sequenceBytes; index += 1) {
    if ((bytes[at + index] & 0xc0) !== 0x80) return 0;
  }
  const second = bytes[at + 1];
  if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return 0;
  if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return 0;
  return sequenceBytes;
}
