// How one request lies in a segment: a head, the body, and the head's fields once more behind it, so that one damaged
// byte never hides how many spans there were. Pure; the bytes may be anybody's.
import { crc32 } from 'node:zlib';
import type { SpanCounts } from '../../model/span-counts.ts';
import type { Encoding } from '../encoding.ts';

/** Everything begins at a multiple of it, so that what follows a damaged part is found again. */
export const ALIGNMENT_BYTES = 8;
/** Fields, sum and state. */
export const HEAD_BYTES = 48;
/** Fields and sum. */
export const TAIL_BYTES = 40;
/** Where in the head the state is: the only byte that is written twice. */
export const STATE_OFFSET = 40;
/** Reason: a request is 2 MiB at most before compression. Larger ones aren't stored, and no other reader's memory is asked for. */
export const BODY_BYTES_MAX = 8 << 20;

/** "fdsH" and "fdsT", little-endian. */
const HEAD_MAGIC = 0x48736466;
const TAIL_MAGIC = 0x54736466;
const VERSION = 1;
const SUMMED_BYTES = 36;
const ENCODINGS: readonly Encoding[] = ['identity', 'gzip', 'zstd'];

/** A request is written with 0 in its place. */
export const STATE_DONE = 0xff;
const DONE_BITS_MIN = 5;

/** What is told of a request before its body is read. */
export interface RequestHead extends SpanCounts {
  readonly encoding: Encoding;
  readonly bodyBytes: number;
  readonly bodySum: number;
  /** Grows with age over all segments and restarts. */
  readonly sequence: number;
}

/** Returns how many bytes a request with such a body takes. */
export function storedBytes(bodyBytes: number): number {
  return HEAD_BYTES + aligned(bodyBytes) + TAIL_BYTES;
}

/** Returns the place from which to go on: the next multiple of the alignment. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/** Returns the three parts to be written one after the other. `seed` is the segment's: bytes of a span can't look like a head. */
export function encodeRequest(head: RequestHead, body: Uint8Array, seed: number): readonly Uint8Array[] {
  const padding = aligned(body.length) - body.length;
  const behind = Buffer.alloc(padding + TAIL_BYTES);
  const before = Buffer.alloc(HEAD_BYTES);
  writeFields(before, HEAD_MAGIC, head, seed);
  writeFields(behind.subarray(padding), TAIL_MAGIC, head, seed);
  return [before, body, behind];
}

/** Returns null where no head begins. */
export function readHead(bytes: Buffer, at: number, seed: number): RequestHead | null {
  return bytes.length - at < HEAD_BYTES ? null : readFields(bytes, at, HEAD_MAGIC, seed);
}

/** Returns null where no tail begins. */
export function readTail(bytes: Buffer, at: number, seed: number): RequestHead | null {
  return bytes.length - at < TAIL_BYTES ? null : readFields(bytes, at, TAIL_MAGIC, seed);
}

/** The majority of its bits tells: one flipped bit sends nothing twice and loses nothing. */
export function isDone(state: number): boolean {
  let bits = 0;
  for (let rest = state; rest !== 0; rest &= rest - 1) bits += 1;
  return bits >= DONE_BITS_MIN;
}

function writeFields(bytes: Buffer, magic: number, head: RequestHead, seed: number): void {
  bytes.writeUInt32LE(magic, 0);
  bytes[4] = VERSION;
  bytes[5] = ENCODINGS.indexOf(head.encoding);
  bytes.writeUInt32LE(head.bodyBytes, 8);
  bytes.writeUInt32LE(head.bodySum, 12);
  bytes.writeUInt32LE(head.spans, 16);
  bytes.writeUInt32LE(head.processSpans, 20);
  bytes.writeUInt32LE(head.heldSpans, 24);
  bytes.writeDoubleLE(head.sequence, 28);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, SUMMED_BYTES), seed), SUMMED_BYTES);
}

function readFields(bytes: Buffer, at: number, magic: number, seed: number): RequestHead | null {
  if (bytes.readUInt32LE(at) !== magic || bytes[at + 4] !== VERSION) return null;
  const sum = crc32(bytes.subarray(at, at + SUMMED_BYTES), seed);
  if (sum !== bytes.readUInt32LE(at + SUMMED_BYTES)) return null;
  const bodyBytes = bytes.readUInt32LE(at + 8);
  if (bodyBytes > BODY_BYTES_MAX || bytes[at + 5] >= ENCODINGS.length) return null;
  return {
    encoding: ENCODINGS[bytes[at + 5]],
    bodyBytes,
    bodySum: bytes.readUInt32LE(at + 12),
    spans: bytes.readUInt32LE(at + 16),
    processSpans: bytes.readUInt32LE(at + 20),
    heldSpans: bytes.readUInt32LE(at + 24),
    sequence: bytes.readDoubleLE(at + 28),
  };
}
