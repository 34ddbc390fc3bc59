// Protobuf's wire format for what is encoded once: constant blocks and resources. Allocates freely.

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;

/** Bytes of the padded varints that the hot path patches: 3 hold lengths below 2 MiB, 5 any 32 bits, 10 any 64. */
export const LENGTH_VARINT_BYTES = 3;
export const INT32_VARINT_BYTES = 5;
export const INT64_VARINT_BYTES = 10;

/** Returns a varint; negative numbers as 64-bit two's complement. */
export function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

/** Returns a zero that is patched later, in a fixed number of bytes: legal, if longer than needed. */
export function paddedZero(bytes: number): number[] {
  const zero = new Array<number>(bytes).fill(0x80);
  zero[bytes - 1] = 0;
  return zero;
}

export function tag(field: number, wireType: number): number[] {
  return varint((field << 3) | wireType);
}

/** Returns a length-delimited field: a message, or a string. */
export function field(number: number, value: string | readonly number[] | Uint8Array): number[] {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return [...tag(number, WIRE_BYTES), ...varint(bytes.length), ...bytes];
}

/** Returns a varint field. */
export function varintField(number: number, value: number | bigint): number[] {
  return [...tag(number, WIRE_VARINT), ...varint(value)];
}
