// Stage encode: one checked pair to one Span in the arena. The constant head, with the attributes of
// fixed width, is copied from a template and patched; the rest follows in blocks.
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';
import type { TraceCursor } from '../model/trace-cursor.ts';
import { intAttribute, type AttributeBlocks } from './attribute-blocks.ts';
import { INT32_VARINT_BYTES, INT64_VARINT_BYTES } from './protobuf.ts';
import { writeTraceId } from './root-encoder.ts';
import type { SpanArena } from './span-arena.ts';
import { SpanIds } from './span-ids.ts';
import { SpanNames } from './span-name.ts';
import { writeTraceState } from './trace-state.ts';

/** No span is larger: path and directory at four bytes for each, names and numbers. */
export const SPAN_BYTES_MAX = 8 * layout.PATH_BYTES_MAX + 4096;

/** Where the head's values lie, from the span's first byte. */
const LENGTH_AT = 1;
const TRACE_ID_AT = 6;
const SPAN_ID_AT = 24;
const PARENT_ID_AT = 34;
const START_AT = 45;
const END_AT = 54;
const FD_NONE = 0;
/** The operations that names begin with, as words: `open` and `held`. */
const OPEN = 0x6e65706f;
const HELD = 0x646c6568;

export interface SpanEncoderOptions {
  readonly attributes: 'lean' | 'standard' | 'full';
  /** Whether the kernel adds bytes and calls to the pairs. */
  readonly hasIoTotals?: boolean;
  readonly spanName: 'template' | 'operation';
  readonly spanNamesMax: number;
  readonly containersMax: number;
}

export class SpanEncoder {
  readonly names: SpanNames;
  private readonly blocks: AttributeBlocks;
  private readonly arena: SpanArena;
  private readonly template: Uint8Array;
  private readonly heldTemplate: Uint8Array;
  /** Ends, in the template, of the numbers of each level. */
  private readonly numberEnds: Uint32Array;
  private readonly isStandard: boolean;
  private readonly isFull: boolean;
  private readonly isNamed: boolean;
  private readonly hasIoTotals: boolean;
  private readonly ids: SpanIds;

  constructor(options: SpanEncoderOptions, arena: SpanArena, blocks: AttributeBlocks) {
    this.arena = arena;
    this.blocks = blocks;
    this.isFull = options.attributes === 'full';
    this.isStandard = options.attributes !== 'lean';
    this.hasIoTotals = options.hasIoTotals === true;
    this.isNamed = options.spanName === 'template';
    this.names = new SpanNames(options.containersMax + 1, options.spanNamesMax);
    this.ids = new SpanIds();
    const { bytes, ends } = createHead(options, 'fdspan.open.duration_ns');
    this.template = bytes;
    this.numberEnds = ends;
    // A name of the same length: the numbers lie at the same places.
    this.heldTemplate = createHead(options, 'fdspan.held.duration_ns').bytes;
  }

  /** Appends the pair as a Span (field 2 of ScopeSpans); `namespaces` are the container's, 7 for each slot. */
  write(cursor: RecordCursor, slot: number, namespaces: Uint32Array, trace: TraceCursor): void {
    const { arena, blocks } = this;
    const begin = arena.position;
    const isHeld = cursor.u8(layout.PAIR_RECORD_REASON) === layout.CLOSE_HELD;
    arena.bytes.set(isHeld ? this.heldTemplate : this.template, begin);
    arena.position = begin + this.template.length;
    writeTraceId(arena, begin + TRACE_ID_AT, trace.trace0, trace.trace1, trace.trace2, trace.trace3);
    this.ids.patch(arena, begin + SPAN_ID_AT);
    arena.patchFixed32(begin + PARENT_ID_AT, trace.rootLo);
    arena.patchFixed32(begin + PARENT_ID_AT + 4, trace.rootHi);
    const opened = layout.PAIR_RECORD_OPENED_BOOT_NS;
    const closed = layout.PAIR_RECORD_CLOSED_BOOT_NS;
    const { offsetLo, offsetHi } = trace;
    arena.patchTime(begin + START_AT, cursor.i32(opened), cursor.i32(opened + 4), offsetLo, offsetHi);
    arena.patchTime(begin + END_AT, cursor.i32(closed), cursor.i32(closed + 4), offsetLo, offsetHi);
    this.patchNumbers(cursor, begin);
    this.writePath(cursor, slot);
    blocks.writeOpenFlags(arena, cursor.i32(layout.PAIR_RECORD_OPEN_FLAGS));
    blocks.write(arena, blocks.reasons[cursor.u8(layout.PAIR_RECORD_REASON)]);
    this.writeText(blocks.executable, cursor.bytes, cursor.executableOffset, cursor.executableBytes);
    const fd = cursor.u32(layout.PAIR_RECORD_FD) | 0;
    if (fd >= FD_NONE) blocks.writeInt32(arena, blocks.fd, fd);
    else blocks.writeError(arena, -fd);
    if (this.isStandard) this.writeStandard(cursor, fd < 0);
    if (this.isFull && fd >= 0) {
      const size = layout.PAIR_RECORD_SIZE_BYTES;
      blocks.writeInt64(arena, blocks.size, cursor.i32(size), cursor.i32(size + 4));
    }
    if (this.hasIoTotals && fd >= 0) this.writeIoTotals(cursor);
    this.writeNamespaces(cursor, slot, namespaces);
    if (cursor.hasThreshold) writeTraceState(arena, cursor.threshold);
    arena.patchLength(begin + LENGTH_AT, arena.position - begin - 4);
  }

  private patchNumbers(cursor: RecordCursor, begin: number): void {
    const { arena, numberEnds } = this;
    arena.patchInt32(begin + numberEnds[0] - 5, cursor.i32(layout.PAIR_RECORD_PID));
    arena.patchInt32(begin + numberEnds[1] - 5, cursor.i32(layout.PAIR_RECORD_USER_ID));
    if (!this.isStandard) return;
    const duration = layout.PAIR_RECORD_OPEN_DURATION_NS;
    arena.patchInt32(begin + numberEnds[2] - 5, cursor.i32(layout.PAIR_RECORD_TID));
    arena.patchInt64(begin + numberEnds[3] - 10, cursor.i32(duration), cursor.i32(duration + 4));
    if (!this.isFull) return;
    arena.patchInt32(begin + numberEnds[4] - 5, cursor.i32(layout.PAIR_RECORD_VPID));
    arena.patchInt32(begin + numberEnds[5] - 5, cursor.i32(layout.PAIR_RECORD_PARENT_PID));
  }

  /** Writes file.path, and what is made of its text: the name and the directory. */
  private writePath(cursor: RecordCursor, slot: number): void {
    const { arena, blocks } = this;
    arena.wasEscaped = false;
    blocks.write(arena, blocks.path);
    const begin = arena.position;
    arena.text(cursor.path, cursor.pathOffset, cursor.pathOffset + cursor.pathBytes);
    const end = arena.position;
    blocks.endText(arena, blocks.path, begin);
    if (arena.wasEscaped && this.isStandard) blocks.write(arena, blocks.isEscaped);
    this.writeName(slot, begin, end, cursor.u8(layout.PAIR_RECORD_REASON) === layout.CLOSE_HELD);
    if (!this.isFull) return;
    let directoryEnd = end;
    while (directoryEnd > begin && arena.bytes[directoryEnd - 1] !== 0x2f) directoryEnd -= 1;
    if (directoryEnd === begin) return;
    this.writeText(blocks.directory, arena.bytes, begin, Math.max(1, directoryEnd - begin - 1));
  }

  private writeName(slot: number, pathBegin: number, pathEnd: number, isHeld: boolean): void {
    const { arena } = this;
    const begin = arena.position;
    arena.bytes[begin] = 0x2a;
    arena.patchFixed32(begin + 4, isHeld ? HELD : OPEN);
    arena.position = begin + 8;
    if (this.isNamed) this.names.write(arena, slot, pathBegin, pathEnd);
    arena.patchLength(begin + 1, arena.position - begin - 4);
  }

  private writeStandard(cursor: RecordCursor, isFailed: boolean): void {
    const { arena, blocks } = this;
    const flags = cursor.u16(layout.PAIR_RECORD_FLAGS);
    const comm = cursor.offset + layout.PAIR_RECORD_COMM;
    let commBytes = 0;
    while (commBytes < layout.COMM_BYTES && cursor.bytes[comm + commBytes] !== 0) commBytes += 1;
    blocks.write(arena, blocks.threadName);
    const begin = arena.position;
    arena.text(cursor.bytes, comm, comm + commBytes);
    blocks.endShortText(arena, blocks.threadName, begin);
    if (!isFailed) this.writeFile(cursor);
    if ((flags & layout.PAIR_PATH_TRUNCATED) !== 0) blocks.write(arena, blocks.isTruncated);
    if ((flags & layout.PAIR_PATH_RENAMED) !== 0) blocks.write(arena, blocks.isRenamed);
    if ((flags & layout.PAIR_ADOPTED) !== 0) blocks.write(arena, blocks.isAdopted);
    if ((flags & layout.PAIR_START_MISSED) !== 0) blocks.write(arena, blocks.isStartMissed);
    blocks.write(
      arena,
      (flags & layout.PAIR_RUNTIME_PHASE) !== 0 ? blocks.phaseRuntime : blocks.phaseContainer,
    );
  }

  private writeFile(cursor: RecordCursor): void {
    const { arena, blocks } = this;
    const mode = cursor.i32(layout.PAIR_RECORD_MODE);
    const device = cursor.u32(layout.PAIR_RECORD_DEVICE);
    blocks.write(arena, blocks.fileTypes[(mode >>> 12) & 15]);
    blocks.write(arena, blocks.inode);
    let begin = arena.position;
    arena.decimal64(cursor.i32(layout.PAIR_RECORD_INODE), cursor.i32(layout.PAIR_RECORD_INODE + 4));
    blocks.endShortText(arena, blocks.inode, begin);
    blocks.write(arena, blocks.mode);
    begin = arena.position;
    arena.octalMode(mode);
    blocks.endShortText(arena, blocks.mode, begin);
    blocks.write(arena, blocks.device);
    begin = arena.position;
    arena.decimal(device >>> 20);
    arena.bytes[arena.position++] = 0x3a;
    arena.decimal(device & 0xfffff);
    blocks.endShortText(arena, blocks.device, begin);
  }

  private writeIoTotals(cursor: RecordCursor): void {
    const { arena, blocks } = this;
    const read = layout.PAIR_RECORD_BYTES_READ;
    const written = layout.PAIR_RECORD_BYTES_WRITTEN;
    blocks.writeInt64(arena, blocks.ioReadBytes, cursor.i32(read), cursor.i32(read + 4));
    blocks.writeInt64(arena, blocks.ioReadCalls, cursor.i32(layout.PAIR_RECORD_READS), 0);
    blocks.writeInt64(arena, blocks.ioWriteBytes, cursor.i32(written), cursor.i32(written + 4));
    blocks.writeInt64(arena, blocks.ioWriteCalls, cursor.i32(layout.PAIR_RECORD_WRITES), 0);
  }

  private writeNamespaces(cursor: RecordCursor, slot: number, namespaces: Uint32Array): void {
    const { arena, blocks } = this;
    for (let index = 0; index < layout.NS_COUNT; index += 1) {
      const own = cursor.u32(layout.PAIR_RECORD_NAMESPACES + 4 * index);
      const usual = namespaces[slot * layout.NS_COUNT + index];
      if (own !== 0 && usual !== 0 && own !== usual)
        blocks.writeInt32(arena, blocks.namespaces[index], own | 0);
    }
  }

  private writeText(block: number, from: Uint8Array, begin: number, bytes: number): void {
    const { arena, blocks } = this;
    blocks.write(arena, block);
    const textBegin = arena.position;
    arena.text(from, begin, begin + bytes);
    blocks.endText(arena, block, textBegin);
  }
}

/** The constant bytes before the path, and where in them each number ends, by level. */
function createHead(
  { attributes }: SpanEncoderOptions,
  durationKey: string,
): { readonly bytes: Uint8Array; readonly ends: Uint32Array } {
  const eight = [0, 0, 0, 0, 0, 0, 0, 0];
  const head = [0x12, 0x80, 0x80, 0, 0x0a, 16, ...eight, ...eight, 0x12, 8, ...eight, 0x22, 8, ...eight];
  head.push(0x30, 1, 0x39, ...eight, 0x41, ...eight);
  // flags: sampled, with a random trace id, and no parent elsewhere.
  head.push(0x85, 0x01, 0x03, 0x01, 0, 0);
  const numbers = [
    intAttribute('process.pid', INT32_VARINT_BYTES),
    intAttribute('process.user.id', INT32_VARINT_BYTES),
  ];
  if (attributes !== 'lean')
    numbers.push(
      intAttribute('fdspan.thread.tid', INT32_VARINT_BYTES),
      intAttribute(durationKey, INT64_VARINT_BYTES),
    );
  if (attributes === 'full')
    numbers.push(
      intAttribute('process.vpid', INT32_VARINT_BYTES),
      intAttribute('process.parent_pid', INT32_VARINT_BYTES),
    );
  const ends: number[] = [];
  for (const number of numbers) {
    head.push(...number);
    ends.push(head.length);
  }
  return { bytes: Uint8Array.from(head), ends: Uint32Array.from(ends) };
}
