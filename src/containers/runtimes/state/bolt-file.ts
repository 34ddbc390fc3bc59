// Looks one value up in a BoltDB file (go.etcd.io/bbolt, format 2) without its lock: a writer never changes
// the pages of the tree that a meta page points to, it writes new ones. The file may be a user's: every
// offset is checked, the depth and the bytes read are bounded.
import type { FileHandle } from 'node:fs/promises';

/** The file is no BoltDB file of this format, or was changed too often meanwhile. */
export class BoltError extends Error {
  constructor(message: string) {
    super(`reading BoltDB: ${message}`);
    this.name = 'BoltError';
  }
}

const MAGIC = 0xed0cdaed;
const VERSION = 2;
const PAGE_HEADER_BYTES = 16;
const ELEMENT_BYTES = 16;
const BUCKET_HEADER_BYTES = 16;
const META_BYTES = 64;
const CHECKSUM_AT = 56;
const BRANCH_PAGE = 0x01;
const LEAF_PAGE = 0x02;
const BUCKET_LEAF = 0x01;
/** Reason: pages of the machine's size; the second meta page is looked for behind the first. */
const PAGE_BYTES_MAX = 65536;
/** Reason: a page has at least two children; 32 levels are more containers than ids. */
const DEPTH_MAX = 32;
/** Reason: one container's settings; the pages behind a page are read with it. */
const NODE_BYTES_MAX = 4 * 1024 * 1024;
/** Reason: a look-up takes 1 ms, a transaction's sync to disk more. */
const ATTEMPTS_MAX = 3;

/** The file, and who is asked before so many bytes of it are read. */
export interface BoltFile {
  readonly file: Pick<FileHandle, 'read'>;
  readonly mayRead: (bytes: number) => boolean;
}

interface Meta {
  readonly pageBytes: number;
  readonly root: number;
  readonly transaction: bigint;
}

interface Leaf {
  readonly value: Buffer;
  readonly isBucket: boolean;
}

/**
 * Returns the value below the buckets and key of `path`, null when there is none. Rejects with {@link BoltError} for a
 * file that is damaged, changes faster than it can be read, or may not be read on.
 */
export async function readBoltValue(file: BoltFile, path: readonly string[]): Promise<Buffer | null> {
  for (let attempt = 1; ; attempt++) {
    const meta = await readMeta(file);
    let failure: unknown = null;
    const value = await findPath(file, meta, path).catch((error: unknown) => {
      failure = error;
      return null;
    });
    // Pages that the tree no longer needs may be written again from the second transaction on.
    const now = await readMeta(file);
    if (now.transaction - meta.transaction < 2n) {
      if (failure !== null) throw failure as Error;
      return value;
    }
    if (attempt === ATTEMPTS_MAX) throw new BoltError('it is changed all the time');
  }
}

async function readAt({ file, mayRead }: BoltFile, position: number, length: number): Promise<Buffer> {
  if (length > NODE_BYTES_MAX) throw new BoltError(`a page of ${length} bytes`);
  if (!mayRead(length)) throw new BoltError(`${length} bytes more than may be read`);
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  if (bytesRead < length) throw new BoltError(`a page ends behind the file, at ${position + length}`);
  return bytes;
}

function fnv1a(bytes: Buffer): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash;
}

/** A page's number as a number that can be multiplied by a page's size without losing digits. */
function pageNumber(bytes: Buffer, at: number): number {
  const page = bytes.readBigUInt64LE(at);
  if (page > 0xffffffffn) throw new BoltError(`page ${page}`);
  return Number(page);
}

function parseMeta(page: Buffer): Meta | null {
  const meta = page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + META_BYTES);
  if (meta.readUInt32LE(0) !== MAGIC || meta.readUInt32LE(4) !== VERSION) return null;
  if (meta.readBigUInt64LE(CHECKSUM_AT) !== fnv1a(meta.subarray(0, CHECKSUM_AT))) return null;
  const pageBytes = meta.readUInt32LE(8);
  if (pageBytes < 512 || pageBytes > PAGE_BYTES_MAX || (pageBytes & (pageBytes - 1)) !== 0) return null;
  return { pageBytes, root: pageNumber(meta, 16), transaction: meta.readBigUInt64LE(48) };
}

/** The newer of the two meta pages that are whole: one may be being written. */
async function readMeta(file: BoltFile): Promise<Meta> {
  const length = PAGE_HEADER_BYTES + META_BYTES;
  const first = parseMeta(await readAt(file, 0, length));
  const sizes = first === null ? [4096, 16384, PAGE_BYTES_MAX] : [first.pageBytes];
  let newest = first;
  for (const pageBytes of sizes) {
    const second = parseMeta(await readAt(file, pageBytes, length).catch(() => Buffer.alloc(length)));
    if (second !== null && (newest === null || second.transaction > newest.transaction)) newest = second;
  }
  if (newest === null) throw new BoltError('it has no whole meta page');
  return newest;
}

async function findPath(file: BoltFile, meta: Meta, path: readonly string[]): Promise<Buffer | null> {
  let node = await readPage(file, meta, meta.root);
  for (const [index, name] of path.entries()) {
    const leaf = await findKey(file, meta, node, Buffer.from(name));
    const isLast = index === path.length - 1;
    if (leaf === null || leaf.isBucket === isLast) return null;
    if (isLast) return leaf.value;
    if (leaf.value.length < BUCKET_HEADER_BYTES) throw new BoltError('a bucket without a header');
    const root = pageNumber(leaf.value, 0);
    // A small bucket's only page stands in the value itself.
    node = root === 0 ? leaf.value.subarray(BUCKET_HEADER_BYTES) : await readPage(file, meta, root);
  }
  return null;
}

async function readPage(file: BoltFile, meta: Meta, page: number): Promise<Buffer> {
  const head = await readAt(file, page * meta.pageBytes, PAGE_HEADER_BYTES);
  const overflow = head.readUInt32LE(12);
  return readAt(file, page * meta.pageBytes, meta.pageBytes * (overflow + 1));
}

async function findKey(file: BoltFile, meta: Meta, start: Buffer, key: Buffer): Promise<Leaf | null> {
  let node = start;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (node.length < PAGE_HEADER_BYTES) throw new BoltError('a page without a header');
    const flags = node.readUInt16LE(8);
    const count = node.readUInt16LE(10);
    if (PAGE_HEADER_BYTES + count * ELEMENT_BYTES > node.length) throw new BoltError(`${count} elements`);
    if ((flags & LEAF_PAGE) !== 0) return findLeaf(node, count, key);
    if ((flags & BRANCH_PAGE) === 0 || count === 0) throw new BoltError(`a page of kind ${flags}`);
    const child = searchElements(count, (index) => Buffer.compare(branchKey(node, index), key) <= 0);
    const at = PAGE_HEADER_BYTES + Math.max(child - 1, 0) * ELEMENT_BYTES;
    node = await readPage(file, meta, pageNumber(node, at + 8));
  }
  throw new BoltError(`a tree deeper than ${DEPTH_MAX}`);
}

/** Binary search: how many elements from the first on hold the condition. */
function searchElements(count: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function slice(node: Buffer, start: number, length: number): Buffer {
  if (start + length > node.length) throw new BoltError('an element ends behind its page');
  return node.subarray(start, start + length);
}

function branchKey(node: Buffer, index: number): Buffer {
  const at = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
  return slice(node, at + node.readUInt32LE(at), node.readUInt32LE(at + 4));
}

function leafKey(node: Buffer, index: number): Buffer {
  const at = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
  return slice(node, at + node.readUInt32LE(at + 4), node.readUInt32LE(at + 8));
}

function findLeaf(node: Buffer, count: number, key: Buffer): Leaf | null {
  const index = searchElements(count, (i) => Buffer.compare(leafKey(node, i), key) < 0);
  if (index === count || !leafKey(node, index).equals(key)) return null;
  const at = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
  const valueAt = at + node.readUInt32LE(at + 4) + node.readUInt32LE(at + 8);
  return {
    isBucket: (node.readUInt32LE(at) & BUCKET_LEAF) !== 0,
    value: slice(node, valueAt, node.readUInt32LE(at + 12)),
  };
}
