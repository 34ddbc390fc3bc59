// The constant bytes of spans: whole attributes whose value is one of a few, and the beginnings of
// those whose value varies. One pool of bytes; a block is a number.
import { createErrnoNames, createSignalNames, FILE_TYPES, openFlagsText } from './open-flags.ts';
import { SLICE_EXIT } from '../model/record-layout.ts';
import { accessOf, ACCESSES } from '../model/access.ts';
import * as protobuf from './protobuf.ts';
import type { SpanArena } from './span-arena.ts';

/**
 * Different flag values that are kept encoded. Programs use a few dozen; a hostile one can make millions,
 * and those beyond are written without the attribute's names, as one decimal number.
 */
const FLAG_VALUES_MAX = 512;

const NO_BLOCK = -1;
/** A power of two. Reason: programs use a few dozen values. */
const RECENT_FLAGS = 64;

const NAMESPACE_NAMES = ['mnt', 'pid', 'uts', 'net', 'ipc', 'user', 'cgroup'];
/** By enum slice_end; undefined: the root was sent when the slice's time was up. */
const SLICE_ENDS = [undefined, 'rolled', 'exec', 'exit', 'replaced'];
const CLOSE_REASONS = [undefined, 'close', 'close_range', 'dup', 'exec', 'exit', 'stop', 'lost', 'held'];

export class AttributeBlocks {
  readonly path = this.addText('file.path');
  readonly directory = this.addText('file.directory');
  readonly executable = this.addText('process.executable.name');
  readonly threadName = this.addShortText('thread.name');
  readonly inode = this.addShortText('file.inode');
  readonly mode = this.addShortText('file.mode');
  readonly device = this.addShortText('fdspan.file.device');
  readonly fd = this.addInt32('fdspan.fd');
  readonly size = this.addInt64('file.size');
  readonly ioReadBytes = this.addInt64('fdspan.io.read.bytes');
  readonly ioReadCalls = this.addInt64('fdspan.io.read.calls');
  readonly ioWriteBytes = this.addInt64('fdspan.io.write.bytes');
  readonly ioWriteCalls = this.addInt64('fdspan.io.write.calls');
  readonly isTruncated = this.addBoolean('fdspan.file.path.truncated');
  readonly isEscaped = this.addBoolean('fdspan.file.path.escaped');
  readonly isRenamed = this.addBoolean('fdspan.file.path.renamed');
  readonly isAdopted = this.addBoolean('fdspan.open.adopted');
  readonly isStartMissed = this.addBoolean('fdspan.open.start_missed');
  readonly phaseRuntime = this.addString('fdspan.phase', 'runtime');
  readonly phaseContainer = this.addString('fdspan.phase', 'container');
  readonly reasons = CLOSE_REASONS.map((name) => this.addString('fdspan.close.reason', name));
  readonly accesses = ACCESSES.map((name) => this.addString('fdspan.access', name));
  readonly fileTypes = Array.from({ length: 16 }, (_, type) =>
    this.addString('fdspan.file.type', FILE_TYPES[type]),
  );
  readonly namespaces = NAMESPACE_NAMES.map((name) => this.addInt32(`fdspan.ns.${name}`));
  readonly pid = this.addInt32('process.pid');
  readonly userId = this.addInt32('process.user.id');
  readonly vpid = this.addInt32('process.vpid');
  readonly parentPid = this.addInt32('process.parent_pid');
  readonly exitCode = this.addInt32('process.exit.code');
  readonly processName = this.addName('process ');
  readonly containerName = this.addName('container ');
  readonly sliceExit = SLICE_EXIT;
  readonly execution = this.addText('fdspan.execution.id');
  readonly files = this.addInt32('fdspan.files');
  readonly filesByAccess = ['read', 'write', 'read_write'].map((access) =>
    this.addInt32(`fdspan.files.${access}`),
  );
  readonly filesFailed = this.addInt32('fdspan.files.failed');
  readonly filesHeld = this.addInt32('fdspan.files.held');
  readonly opens = this.addInt32('fdspan.opens');
  readonly opensUnsampled = this.addInt32('fdspan.opens.unsampled');
  readonly opensDropped = this.addInt32('fdspan.opens.dropped');
  readonly isLate = this.addBoolean('fdspan.slice.late');
  readonly sliceEnds = SLICE_ENDS.map((name) => this.addString('fdspan.slice.end', name));
  readonly exitSignals = createSignalNames().map((name) => this.addString('fdspan.exit.signal', name));
  /** By errno: error.type with the status ERROR and its message. Names are few and known, so this is complete. */
  private readonly errors = createErrnoNames().map((name) => this.addError(name));
  private readonly errorOther = this.addError('_OTHER');
  private readonly flagsHex = this.addText('fdspan.open.flags');
  private readonly flagBlocks = new Map<number, number>();
  /** What was found last, by a hash of the flags: a look into the map costs more. */
  private readonly recentFlags = new Int32Array(RECENT_FLAGS);
  private readonly recentBlocks = new Int32Array(RECENT_FLAGS).fill(NO_BLOCK);

  // The pool is one array while blocks are added (declared, as the fields above fill it first).
  declare private pool: Uint8Array;
  /** The pool and three bytes more. */
  declare private view: DataView;
  declare private begins: number[];
  declare private ends: number[];

  /** Writes a block that is complete, or the beginning of one that `endText` or a patch completes. */
  write(arena: SpanArena, block: number): void {
    arena.copyWords(this.view, this.begins[block], this.ends[block]);
  }

  /** Writes an attribute of 32 bits. */
  writeInt32(arena: SpanArena, block: number, value: number): void {
    this.write(arena, block);
    arena.patchInt32(arena.position - protobuf.INT32_VARINT_BYTES, value);
  }

  /** Writes an attribute of 64 bits. */
  writeInt64(arena: SpanArena, block: number, lo: number, hi: number): void {
    this.write(arena, block);
    arena.patchInt64(arena.position - protobuf.INT64_VARINT_BYTES, lo, hi);
  }

  /** Puts the lengths into a text attribute whose block ended at `textBegin` and whose text ends here. */
  endText(arena: SpanArena, block: number, textBegin: number): void {
    const textBytes = arena.position - textBegin;
    const attributeBegin = textBegin - (this.ends[block] - this.begins[block]);
    arena.patchLength(textBegin - 3, textBytes);
    arena.patchLength(textBegin - 7, textBytes + 4);
    arena.patchLength(attributeBegin + 1, arena.position - attributeBegin - 4);
  }

  /** The same for a short text. */
  endShortText(arena: SpanArena, block: number, textBegin: number): void {
    const { bytes } = arena;
    const textBytes = arena.position - textBegin;
    const attributeBegin = textBegin - (this.ends[block] - this.begins[block]);
    bytes[textBegin - 1] = textBytes;
    bytes[textBegin - 3] = textBytes + 2;
    bytes[attributeBegin + 1] = arena.position - attributeBegin - 2;
  }

  /** Writes fdspan.access and fdspan.open.flags, which are signed: V8 allocates for a larger number handed to a function. */
  writeOpenFlags(arena: SpanArena, flags: number): void {
    this.write(arena, this.accesses[accessOf(flags)]);
    const place = (flags ^ (flags >>> 6) ^ (flags >>> 12) ^ (flags >>> 18)) & (RECENT_FLAGS - 1);
    const recent = this.recentBlocks[place];
    if (recent !== NO_BLOCK && this.recentFlags[place] === flags) return this.write(arena, recent);
    const known = this.flagBlocks.get(flags);
    if (known !== undefined) {
      this.recentFlags[place] = flags;
      this.recentBlocks[place] = known;
      return this.write(arena, known);
    }
    if (this.flagBlocks.size < FLAG_VALUES_MAX) return this.write(arena, this.createFlagBlock(flags));
    this.write(arena, this.flagsHex);
    const begin = arena.position;
    arena.decimal(flags >>> 0);
    this.endText(arena, this.flagsHex, begin);
  }

  /** Writes error.type and the span's status. */
  writeError(arena: SpanArena, errno: number): void {
    this.write(arena, this.errors[errno] ?? this.errorOther);
  }

  /* eslint-disable fdspan/hot-path -- from here on: blocks are made at the start, and once for new flags */

  private createFlagBlock(flags: number): number {
    const block = this.addString('fdspan.open.flags', openFlagsText(flags >>> 0));
    this.flagBlocks.set(flags, block);
    return block;
  }

  private addString(key: string, value: string | undefined): number {
    return this.add(value === undefined ? [] : attribute(key, protobuf.field(1, value)));
  }

  /** The name of a span (field 5): what it begins with. */
  private addName(begin: string): number {
    const length = protobuf.paddedZero(protobuf.LENGTH_VARINT_BYTES);
    return this.add([0x2a, ...length, ...Buffer.from(begin)]);
  }

  private addBoolean(key: string): number {
    return this.add(attribute(key, protobuf.varintField(2, 1)));
  }

  private addInt32(key: string): number {
    return this.add(intAttribute(key, protobuf.INT32_VARINT_BYTES));
  }

  private addInt64(key: string): number {
    return this.add(intAttribute(key, protobuf.INT64_VARINT_BYTES));
  }

  private addError(name: string | undefined): number {
    if (name === undefined) return this.errorOther ?? this.add([]);
    const status = [...protobuf.field(2, name), ...protobuf.varintField(3, 2)];
    return this.add([...attribute('error.type', protobuf.field(1, name)), ...protobuf.field(15, status)]);
  }

  /** Tag and length of the attribute, its key, tag and length of the value, tag and length of the string. */
  private addText(key: string): number {
    const length = protobuf.paddedZero(protobuf.LENGTH_VARINT_BYTES);
    return this.add([0x4a, ...length, ...protobuf.field(1, key), 0x12, ...length, 0x0a, ...length]);
  }

  /** Of a text that makes an attribute of less than 128 bytes: each length is one byte. */
  private addShortText(key: string): number {
    return this.add([0x4a, 0, ...protobuf.field(1, key), 0x12, 0, 0x0a, 0]);
  }

  private add(bytes: readonly number[]): number {
    const begin = this.pool?.length ?? 0;
    this.pool = Uint8Array.from([...(this.pool ?? []), ...bytes]);
    this.view = new DataView(Uint8Array.from([...this.pool, 0, 0, 0]).buffer);
    this.ends = [...(this.ends ?? []), begin + bytes.length];
    this.begins = [...(this.begins ?? []), begin];
    return this.begins.length - 1;
  }
}

/** Returns an attribute of a Span (its field 9) with its value encoded. */
export function attribute(key: string, value: readonly number[]): number[] {
  return protobuf.field(9, [...protobuf.field(1, key), ...protobuf.field(2, value)]);
}

/** Returns an attribute that ends in a padded zero of so many bytes. */
export function intAttribute(key: string, bytes: number): number[] {
  return attribute(key, [...protobuf.tag(3, protobuf.WIRE_VARINT), ...protobuf.paddedZero(bytes)]);
}
