// Compresses requests on libuv's threads, so that the main thread never waits for it.
import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { exactCopy, exactly } from './exact-copy.ts';
import type { Compression } from './export-options.ts';

/** As in content-encoding and grpc-encoding. */
export type Encoding = 'zstd' | 'gzip' | 'identity';

/** What is tried next when a backend refuses an encoding: each is understood by more backends. */
const FALLBACK: Record<Encoding, Encoding | null> = { zstd: 'gzip', gzip: 'identity', identity: null };

/** One step of the stream; the default of 16 KiB costs 64 trips to the thread pool per request. */
const CHUNK_BYTES = 256 * 1024;

/** Reason: eight times the largest request. A file of the spool may be anybody's, and a few bytes can stand for gigabytes. */
const DECODED_BYTES_MAX = 16 << 20;

const gzipAsync = promisify(gzip) as unknown as Codec;
const gunzipAsync = promisify(gunzip) as unknown as Codec;
const zstdAsync = promisify(zstdCompress) as unknown as Codec;
const unzstdAsync = promisify(zstdDecompress) as unknown as Codec;
type Codec = (bytes: Uint8Array, options: object) => Promise<Buffer>;

/** Returns the encoding to begin with. */
export function firstEncoding(compression: Compression, isLoopback: boolean): Encoding {
  if (compression === 'auto') return isLoopback ? 'identity' : 'zstd';
  return compression === 'none' ? 'identity' : compression;
}

/** Returns the encoding to try after `refused`; null: there is none simpler. */
export function fallbackOf(refused: Encoding): Encoding | null {
  return FALLBACK[refused];
}

/**
 * Returns `bytes` in another buffer of just their size, compressed at level 1: spans repeat so much that higher levels don't
 * pay. What node:zlib returns is a slice of a chunk, and thousands of small requests may wait.
 */
export async function compress(bytes: Uint8Array, encoding: Encoding): Promise<Buffer> {
  if (encoding === 'identity') return exactCopy(bytes);
  if (encoding === 'gzip') return exactly(await gzipAsync(bytes, { level: 1, chunkSize: CHUNK_BYTES }));
  const params = { [constants.ZSTD_c_compressionLevel]: 1 };
  return exactly(await zstdAsync(bytes, { params, chunkSize: CHUNK_BYTES }));
}

/** Returns a waiting request in the encoding that the backend takes now. */
export async function recompress(body: Buffer, from: Encoding, to: Encoding): Promise<Buffer> {
  const options = { chunkSize: CHUNK_BYTES, maxOutputLength: DECODED_BYTES_MAX };
  if (from === to) return body;
  if (from === 'gzip') return compress(await gunzipAsync(body, options), to);
  if (from === 'zstd') return compress(await unzstdAsync(body, options), to);
  return compress(body, to);
}

/** Tells whether the bytes were at fault when {@link recompress} failed, and not the memory. */
export function isDamage(error: NodeJS.ErrnoException): boolean {
  return /^Z(?:STD)?_|^ERR_BUFFER_TOO_LARGE/.test(error.code ?? '') && error.code !== 'Z_MEM_ERROR';
}

/** Tells whether a refusal's text is about the compression; the words are those of grpc-go, grpc-java, tonic, grpc-js and the Collector. */
export function isEncodingRefusal(text: string): boolean {
  return /content-encoding|grpc-encoding|unsupported encoding|decompress|compress(?:ed|ion)|zstd|gzip/i.test(
    text,
  );
}
