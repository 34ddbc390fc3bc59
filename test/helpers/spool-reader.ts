// What lies in a spool's folder, read by the format as docs/decisions/0013-spool.md and the format's own comments tell it,
// and by none of the collector's code.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { spansIn, type CountedSpan } from './span-census.ts';

const HEAD_BYTES = 48;
const TAIL_BYTES = 40;
const SUMMED_BYTES = 36;
const ENCODINGS = [
  (bytes: Buffer) => bytes,
  (bytes: Buffer) => gunzipSync(bytes),
  (bytes: Buffer) => zstdDecompressSync(bytes),
];

export interface StoredSpans {
  /** In requests that were written whole, and not yet marked as done. */
  readonly waiting: readonly CountedSpan[];
  /** In requests that are marked. */
  readonly done: readonly CountedSpan[];
  /** Told by the heads of requests that aren't done, whole or not; without roots. */
  readonly told: number;
  /** Of these, those of torn requests. */
  readonly torn: number;
}

/** Reads all segments of a folder that no process uses. Throws for bytes that are no request's. */
export function readSpool(dir: string): StoredSpans {
  const stored = { waiting: [] as CountedSpan[], done: [] as CountedSpan[], told: 0, torn: 0 };
  for (const name of spoolNames(dir)) {
    const seed = parseInt(name.slice(9, 17), 16);
    readSegment(readFileSync(join(dir, name)), seed, name, stored);
  }
  return stored;
}

/** Returns how many bytes a folder's segments have, also while a process uses it. */
export function spoolBytes(dir: string): number {
  return spoolNames(dir).reduce(
    (sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

function spoolNames(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith('.spool'))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readSegment(
  bytes: Buffer,
  seed: number,
  name: string,
  stored: { waiting: CountedSpan[]; done: CountedSpan[]; told: number; torn: number },
): void {
  for (let at = 0; at < bytes.length;) {
    const rest = bytes.subarray(at);
    // A head that was being written: the last thing in the file, and nobody knows of it.
    if (rest.length < HEAD_BYTES) return;
    const isHead = rest.toString('latin1', 0, 4) === 'fdsH';
    if (!isHead || crc32(rest.subarray(0, SUMMED_BYTES), seed) !== rest.readUInt32LE(SUMMED_BYTES))
      throw new Error(`no request begins at byte ${at} of ${name}`);
    const bodyBytes = rest.readUInt32LE(8);
    const spans = rest.readUInt32LE(16);
    const isDone = rest[40] !== 0;
    const body = rest.subarray(HEAD_BYTES, HEAD_BYTES + bodyBytes);
    const isTorn = body.length < bodyBytes;
    if (!isDone) stored.told += spans;
    if (isTorn) stored.torn += spans;
    else {
      if (crc32(body) !== rest.readUInt32LE(12))
        throw new Error(`a body at byte ${at} of ${name} is damaged`);
      (isDone ? stored.done : stored.waiting).push(...spansIn(ENCODINGS[rest[5]](body)));
    }
    at += HEAD_BYTES + Math.ceil(bodyBytes / 8) * 8 + TAIL_BYTES;
  }
}
