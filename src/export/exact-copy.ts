// Bytes that wait in memory of just their size. A slice of a larger buffer keeps all of it, which no limit counts.

/** Returns a copy in a buffer of its own: one of Buffer.from may be a slice of Node's pool. */
export function exactCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** Returns the bytes themselves where nothing lies beside them in their buffer, else a copy. */
export function exactly(bytes: Buffer): Buffer {
  return bytes.buffer.byteLength === bytes.length ? bytes : exactCopy(bytes);
}
