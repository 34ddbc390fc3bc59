// Records of the ring that no kernel writes, whole ones of any content, and what bpf/record.h says of the bytes. Offsets
// and limits are those of bpf/record.h, written down by hand.
import fc from 'fast-check';

export const KINDS = { pair: 1, created: 2, removed: 3, described: 4, met: 5, slice: 6 };
/** Bits of a record's length word (linux/bpf.h). */
export const BUSY = 0x80000000;
export const DISCARDED = 0x40000000;

/** Lengths that a check compares with, and their neighbours. */
const length = fc.oneof(
  fc.nat({ max: 200 }),
  fc.constantFrom(7, 8, 15, 16, 31, 32, 135, 136, 151, 152, 153, 407, 4503),
);
/** Any bytes, but the fields that checks look at are often near their limits. */
const oddRecord = fc
  .record({
    length,
    fill: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    kind: fc.option(fc.constantFrom(0, 1, 1, 1, 2, 3, 4, 5, 6, 255), { nil: undefined }),
    reason: fc.constantFrom(0, 1, 8, 9, 255),
    executableBytes: fc.oneof(fc.nat({ max: 64 }), fc.constantFrom(0, 255, 256, 65535)),
    pathBytes: fc.oneof(fc.nat({ max: 64 }), fc.constantFrom(0, 1024, 1025, 4096, 4097, 65535)),
  })
  .map((given) => {
    const bytes = Buffer.alloc(Math.max(8, given.length), given.fill);
    if (given.kind !== undefined) {
      bytes[0] = given.kind;
      bytes[1] = given.reason;
      bytes.writeUInt16LE(given.executableBytes, 4);
      bytes.writeUInt16LE(given.pathBytes, given.kind === KINDS.created ? 4 : 6);
    }
    return new Uint8Array(bytes).slice(0, given.length);
  });

/** A pair or a created scope as the kernel writes it; then some bytes longer, or cut. */
function pairOrCreated(spareBytes: fc.Arbitrary<number>): fc.Arbitrary<Uint8Array> {
  return fc
    .record({
      isPair: fc.boolean(),
      fill: fc.uint8Array({ minLength: 1, maxLength: 64 }),
      reason: fc.nat({ max: 8 }),
      executableBytes: fc.oneof(fc.nat({ max: 255 }), fc.constant(255)),
      pathBytes: fc.oneof(fc.nat({ max: 300 }), fc.constantFrom(1024, 4096)),
      verdict: fc.constantFrom(0, 1, 2, 3, 4, 5),
      spareBytes,
    })
    .map((given) => {
      const strings = given.isPair ? given.executableBytes + given.pathBytes : given.pathBytes;
      const bytes = Buffer.alloc((given.isPair ? 184 : 32) + strings, given.fill);
      bytes[0] = given.isPair ? KINDS.pair : KINDS.created;
      if (given.isPair) {
        bytes[1] = given.reason;
        bytes.writeUInt16LE(given.executableBytes, 4);
        bytes.writeUInt16LE(given.pathBytes, 6);
      } else {
        bytes.writeUInt16LE(given.pathBytes, 4);
        bytes.writeUInt32LE(given.verdict, 24);
      }
      const written = new Uint8Array(bytes.length + given.spareBytes);
      written.set(bytes.subarray(0, written.length));
      return written;
    });
}

export const record = fc.oneof(oddRecord, pairOrCreated(fc.integer({ min: -9, max: 9 })));
export const wholeRecord = pairOrCreated(fc.nat({ max: 8 }));

/** What bpf/record.h says of the bytes: their kind, or 0. */
export function expectedKind(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) return 0;
  if (bytes[0] === KINDS.pair && bytes.length >= 184) {
    const [executableBytes, pathBytes] = [view.getUint16(4, true), view.getUint16(6, true)];
    const isWhole = 184 + executableBytes + pathBytes <= bytes.length;
    return bytes[1] <= 8 && executableBytes <= 255 && pathBytes <= 4096 && isWhole ? KINDS.pair : 0;
  }
  if (bytes[0] === KINDS.created && bytes.length >= 32) {
    const pathBytes = view.getUint16(4, true);
    return pathBytes <= 1024 && 32 + pathBytes <= bytes.length ? KINDS.created : 0;
  }
  if (bytes[0] === KINDS.removed && bytes.length >= 16) return KINDS.removed;
  if (bytes[0] === KINDS.slice && bytes.length >= 64) return KINDS.slice;
  const isProcess = bytes[0] === KINDS.described || bytes[0] === KINDS.met;
  return isProcess && bytes.length >= 136 ? bytes[0] : 0;
}

/** Checks of a created scope's verdict that decode leaves to the main thread: one that the policy map can't hold. */
export function isDecodable(bytes: Uint8Array): boolean {
  const kind = expectedKind(bytes);
  if (kind <= KINDS.pair || kind === KINDS.slice) return false;
  return kind !== KINDS.created || [1, 2, 3, 4].includes(Buffer.from(bytes).readUInt32LE(24));
}
