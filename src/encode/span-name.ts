// The span's name: `open` and the path with its changing parts as `*`, so that a backend can group by
// it. Digits become `*`; so does a run of 8 or more hex digits that has a decimal one, and a UUID.
import { mix } from '../model/mix.ts';
import type { SpanArena } from './span-arena.ts';

/** Longer names group nothing and fill tables: the directory is tried, then plain `open`. */
export const NAME_BYTES_MAX = 255;
/** Names remembered over all containers (1 MiB). When it is full, all start afresh. */
const NAMES_MAX = 65536;
/** Of `open`, which the caller has written. */
const OPERATION_BYTES = 4;
const STAR = 0x2a;
const SLASH = 0x2f;
const DASH = 0x2d;
const HEX_ID_BYTES_MIN = 8;
const UUID_BYTES = 36;

export class SpanNames {
  private readonly namesMax: number;
  private readonly hashesLo = new Int32Array(2 * NAMES_MAX);
  private readonly hashesHi = new Int32Array(2 * NAMES_MAX);
  /** Distinct names and directories that each slot has used. */
  private readonly nameCounts: Uint32Array;
  private readonly directoryCounts: Uint32Array;
  private readonly generations: Uint32Array;
  private count = 0;

  constructor(slotsMax: number, namesMax: number) {
    this.namesMax = namesMax === 0 ? NAMES_MAX : namesMax;
    this.nameCounts = new Uint32Array(slotsMax);
    this.directoryCounts = new Uint32Array(slotsMax);
    this.generations = new Uint32Array(slotsMax);
  }

  /** Forgets the names of a slot, as another container gets it. */
  reset(slot: number): void {
    this.generations[slot] += 1;
    this.nameCounts[slot] = 0;
    this.directoryCounts[slot] = 0;
  }

  /** Appends ` ` and the template of the text at [begin, end) of the arena, or its directory's, or nothing. */
  write(arena: SpanArena, slot: number, begin: number, end: number): void {
    const nameBegin = arena.position;
    if (this.tryWrite(arena, slot, begin, end, this.nameCounts, 1)) return;
    arena.position = nameBegin;
    let directoryEnd = end - 1;
    while (directoryEnd > begin && arena.bytes[directoryEnd] !== SLASH) directoryEnd -= 1;
    if (directoryEnd > begin && this.tryWrite(arena, slot, begin, directoryEnd, this.directoryCounts, 2))
      return;
    arena.position = nameBegin;
  }

  private tryWrite(
    arena: SpanArena,
    slot: number,
    begin: number,
    end: number,
    counts: Uint32Array,
    kind: number,
  ): boolean {
    const nameBegin = arena.position;
    if (end <= begin) return false;
    arena.bytes[arena.position++] = 0x20;
    if (!writeTemplate(arena, begin, end, nameBegin + NAME_BYTES_MAX - OPERATION_BYTES)) return false;
    const { view, position } = arena;
    // The last word is whole: what lies behind the name there is overwritten by what comes next.
    view.setInt32(position, 0, true);
    let lo = Math.imul(slot + 1, 0x9e3779b1) ^ kind;
    let hi = Math.imul(this.generations[slot] + 1, 0x85ebca77) ^ (position - nameBegin);
    for (let at = nameBegin; at < position; at += 4) {
      const word = view.getInt32(at, true);
      lo = mix(lo, word);
      hi = Math.imul(hi ^ word, 0x5bd1e995) ^ (hi >>> 15);
    }
    return this.admit(lo === 0 && hi === 0 ? 1 : lo, hi, slot, counts);
  }

  private admit(lo: number, hi: number, slot: number, counts: Uint32Array): boolean {
    const mask = this.hashesLo.length - 1;
    let place = (lo ^ (lo >>> 15)) & mask;
    while (this.hashesLo[place] !== 0 || this.hashesHi[place] !== 0) {
      if (this.hashesLo[place] === lo && this.hashesHi[place] === hi) return true;
      place = (place + 1) & mask;
    }
    if (counts[slot] >= this.namesMax) return false;
    if (this.count === NAMES_MAX) {
      this.hashesLo.fill(0);
      this.hashesHi.fill(0);
      this.nameCounts.fill(0);
      this.directoryCounts.fill(0);
      this.count = 0;
    }
    this.hashesLo[place] = lo;
    this.hashesHi[place] = hi;
    this.count += 1;
    counts[slot] += 1;
    return true;
  }
}

/** Appends the template of the arena's own text; false when it would pass `limit`. */
function writeTemplate(arena: SpanArena, begin: number, end: number, limit: number): boolean {
  const { bytes } = arena;
  let to = arena.position;
  let isInWord = false;
  for (let at = begin; at < end;) {
    if (to >= limit) return false;
    const byte = bytes[at];
    if (!isAlphanumeric(byte)) {
      isInWord = false;
      bytes[to++] = byte;
      at += 1;
      continue;
    }
    const idBytes = isInWord ? 0 : idBytesAt(bytes, at, end);
    isInWord = true;
    if (idBytes > 0) {
      bytes[to++] = STAR;
      at += idBytes;
    } else if (isDigit(byte)) {
      bytes[to++] = STAR;
      while (at < end && isDigit(bytes[at])) at += 1;
    } else {
      bytes[to++] = byte;
      at += 1;
    }
  }
  arena.position = to;
  return true;
}

/** Returns the length of the UUID or hex id that begins here, or 0. */
function idBytesAt(bytes: Uint8Array, begin: number, end: number): number {
  if (end - begin >= UUID_BYTES && isUuid(bytes, begin)) return UUID_BYTES;
  let at = begin;
  let hasDigit = false;
  while (at < end && isHexDigit(bytes[at])) hasDigit = isDigit(bytes[at++]) || hasDigit;
  if (at < end && isAlphanumeric(bytes[at])) return 0;
  return hasDigit && at - begin >= HEX_ID_BYTES_MIN ? at - begin : 0;
}

function isUuid(bytes: Uint8Array, begin: number): boolean {
  for (let index = 0; index < UUID_BYTES; index += 1) {
    const isDashPlace = index === 8 || index === 13 || index === 18 || index === 23;
    if (isDashPlace ? bytes[begin + index] !== DASH : !isHexDigit(bytes[begin + index])) return false;
  }
  return true;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

function isAlphanumeric(byte: number): boolean {
  return isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a);
}
