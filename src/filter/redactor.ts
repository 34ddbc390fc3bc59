// Stage filter: replaces what rules hide of a path, before it is encoded or shown. Takes a checked pair's path; gives another
// one in memory of its own, since the record's belongs to the kernel. What can't be judged is hidden.
import type { GlobTable } from '../model/glob-table.ts';
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import type { Redaction, RedactRule } from '../model/redaction.ts';
import { acceptsOf, compileGlobs } from './glob-table.ts';
import { SipHash } from './sip-hash.ts';

/** Reason: one bit of the automaton's accept word each. Overflow: a configuration error that says so. */
export const REDACT_RULES_MAX = 32;
const MASKED = Buffer.from('…redacted');
const HASHED = Buffer.from('…');
const DELETED = Buffer.from(' (deleted)');
const HASH_DIGITS = 16;
/** Reason: with the mark and what may follow it, no redacted path is longer than the longest one. */
const PREFIX_BYTES_MAX = layout.PATH_BYTES_MAX - 64;
const HEX = Buffer.from('0123456789abcdef');
const SLASH = 0x2f;
const DOT = 0x2e;
/** The path as it is may be another one than the text says: its head was cut, or it was renamed while it was read. */
const DOUBTFUL = layout.PAIR_PATH_TRUNCATED | layout.PAIR_PATH_RENAMED;

/** Compiles the rules' globs; throws an Error that names the glob, or the limit. */
export function compileRedaction(rules: readonly RedactRule[]): GlobTable {
  if (rules.length > REDACT_RULES_MAX)
    throw new Error(
      `has ${rules.length} rules, of which there may be ${REDACT_RULES_MAX}: join globs as {a,b}`,
    );
  return compileGlobs(
    rules.map(({ path }, index) => ({ globs: [path], accepts: (1 << index) >>> 0 })),
    [],
  );
}

/** The folder that all paths of a glob are in, as far as the glob's text tells. */
export function describePrefix(glob: string): string {
  if (!glob.startsWith('/')) return '';
  const special = glob.search(/[*?[{\\]/);
  const literal = special < 0 ? glob : glob.slice(0, special);
  return literal.slice(0, literal.lastIndexOf('/') + 1);
}

export class Redactor {
  /** The path that {@link hide} made: its first `bytes` bytes. */
  readonly path = Buffer.alloc(layout.PATH_BYTES_MAX);
  bytes = 0;
  private readonly table: GlobTable;
  private readonly hash: SipHash;
  private readonly prefixes: readonly Uint8Array[];
  private readonly isHashed: Uint8Array;

  constructor({ rules, key }: Redaction) {
    this.table = compileRedaction(rules);
    this.hash = new SipHash(key);
    this.prefixes = rules.map(({ path }) => Buffer.from(describePrefix(path)).subarray(0, PREFIX_BYTES_MAX));
    this.isHashed = Uint8Array.from(rules, (rule) => (rule.with === 'hash' ? 1 : 0));
  }

  /** Lets the cursor's path be the redacted one, where a rule says so. */
  redact(cursor: RecordCursor): void {
    const begin = cursor.pathOffset;
    const flags = cursor.u16(layout.PAIR_RECORD_FLAGS);
    if (!this.hide(cursor.path, begin, begin + cursor.pathBytes, flags)) return;
    cursor.path = this.path;
    cursor.pathOffset = 0;
    cursor.pathBytes = this.bytes;
  }

  /** Writes what is told instead of the path at [begin, end) to `path`; false: it is told as it is. */
  hide(from: Uint8Array, begin: number, end: number, flags: number): boolean {
    const { table } = this;
    if (end === begin) return false;
    const isDeleted = (flags & layout.PAIR_DELETED) !== 0 && end - begin >= DELETED.length;
    const nameEnd = isDeleted ? end - DELETED.length : end;
    this.bytes = 0;
    if ((flags & DOUBTFUL) !== 0 || !isWhole(from, begin, nameEnd)) {
      this.write(0, false, from, begin, nameEnd);
    } else {
      const accepts = acceptsOf(table, 0, from, begin, nameEnd);
      if (accepts === 0) return false;
      this.write(31 - Math.clz32(accepts & -accepts), true, from, begin, nameEnd);
    }
    if (isDeleted) this.append(DELETED);
    return true;
  }

  private write(rule: number, hasPrefix: boolean, from: Uint8Array, begin: number, end: number): void {
    const { hash, path } = this;
    if (hasPrefix) this.append(this.prefixes[rule]);
    if (this.isHashed[rule] === 0) return this.append(MASKED);
    this.append(HASHED);
    hash.update(from, begin, end);
    for (let digit = 0; digit < HASH_DIGITS; digit += 1) {
      const half = digit < 8 ? hash.hi : hash.lo;
      path[this.bytes++] = HEX[(half >>> (28 - 4 * (digit & 7))) & 15];
    }
  }

  private append(bytes: Uint8Array): void {
    this.path.set(bytes, this.bytes);
    this.bytes += bytes.length;
  }
}

/** Whether the text begins at the root and has no name that is empty, `.` or `..`: a caller may write any for a failed open. */
function isWhole(bytes: Uint8Array, begin: number, end: number): boolean {
  if (begin === end || bytes[begin] !== SLASH) return false;
  let dots = 0;
  let nameBytes = 0;
  for (let at = begin + 1; at <= end; at += 1) {
    if (at < end && bytes[at] !== SLASH) {
      nameBytes += 1;
      if (bytes[at] === DOT) dots += 1;
      continue;
    }
    if (nameBytes === dots && nameBytes <= 2 && end - begin > 1) return false;
    nameBytes = 0;
    dots = 0;
  }
  return true;
}
