// Stage encode: the root of a trace, one for each slice of an execution. Its children have named its id before.
import { isMultiCall } from '../model/multi-call.ts';
import type { TraceCursor } from '../model/trace-cursor.ts';
import type { AttributeBlocks } from './attribute-blocks.ts';
import type { SpanArena } from './span-arena.ts';
import { NAME_BYTES_MAX } from './span-name.ts';
import { writeTraceState } from './trace-state.ts';

/** No root is larger: the executable's name at four bytes for each, its numbers and two links. */
export const ROOT_BYTES_MAX = 2 * (4 * 255) + 2048;

const LENGTH_AT = 1;
const TRACE_ID_AT = 6;
const SPAN_ID_AT = 24;
const START_AT = 35;
const END_AT = 44;
const HEAD_BYTES = 58;
const FLAGS = 0x103;
/** A Link: tag, length, trace id and span id with theirs. */
const LINK_BYTES = 30;
const SIGNAL_MASK = 0x7f;

export class RootEncoder {
  private readonly arena: SpanArena;
  private readonly blocks: AttributeBlocks;
  private readonly isByContainer: boolean;

  constructor(groupBy: 'process' | 'container', arena: SpanArena, blocks: AttributeBlocks) {
    this.arena = arena;
    this.blocks = blocks;
    this.isByContainer = groupBy === 'container';
  }

  /** Appends the root as a Span (field 2 of ScopeSpans); `name` is the container's. */
  write(root: TraceCursor, name: Uint8Array): void {
    const { arena, blocks } = this;
    const begin = arena.position;
    this.writeHead(root, begin);
    if (this.isByContainer) this.writeName(blocks.containerName, name, 0, name.length);
    else this.writeProcessName(root);
    blocks.write(arena, blocks.execution);
    const textBegin = arena.position;
    arena.hexadecimal(root.executionHi);
    arena.hexadecimal(root.executionLo);
    blocks.endText(arena, blocks.execution, textBegin);
    if (!this.isByContainer) this.writeProcess(root);
    if (root.hasThreshold) writeTraceState(arena, root.threshold);
    this.writeCounts(root);
    for (let link = 0; link < root.linkCount; link += 1) this.writeLink(root.links, 6 * link);
    arena.patchLength(begin + LENGTH_AT, arena.position - begin - 4);
  }

  private writeHead(root: TraceCursor, begin: number): void {
    const { arena } = this;
    const { bytes } = arena;
    bytes[begin] = 0x12;
    bytes[begin + 4] = 0x0a;
    bytes[begin + 5] = 16;
    writeTraceId(arena, begin + TRACE_ID_AT, root.trace0, root.trace1, root.trace2, root.trace3);
    bytes[begin + 22] = 0x12;
    bytes[begin + 23] = 8;
    arena.patchFixed32(begin + SPAN_ID_AT, root.rootLo);
    arena.patchFixed32(begin + SPAN_ID_AT + 4, root.rootHi);
    bytes[begin + 32] = 0x30;
    bytes[begin + 33] = 1;
    bytes[begin + 34] = 0x39;
    bytes[begin + 43] = 0x41;
    const { offsetLo, offsetHi } = root;
    arena.patchTime(begin + START_AT, root.startedLo, root.startedHi, offsetLo, offsetHi);
    arena.patchTime(begin + END_AT, root.endedLo, root.endedHi, offsetLo, offsetHi);
    // flags: sampled, with a random trace id, and no parent elsewhere.
    bytes[begin + 52] = 0x85;
    bytes[begin + 53] = 1;
    arena.patchFixed32(begin + 54, FLAGS);
    arena.position = begin + HEAD_BYTES;
  }

  /** The span's name: a block of its field with the first word, and the text. */
  private writeName(block: number, from: Uint8Array, offset: number, bytes: number): void {
    const { arena, blocks } = this;
    const begin = arena.position;
    blocks.write(arena, block);
    arena.text(from, offset, offset + bytes);
    this.cutTo(begin + 4 + NAME_BYTES_MAX);
    arena.patchLength(begin + 1, arena.position - begin - 4);
  }

  /** Takes back what stands behind `end`, and what is left of the character there. */
  private cutTo(end: number): void {
    const { arena } = this;
    if (arena.position <= end) return;
    arena.position = end;
    while ((arena.bytes[arena.position] & 0xc0) === 0x80) arena.position -= 1;
  }

  private writeProcessName(root: TraceCursor): void {
    const { executable, executableOffset, executableBytes } = root;
    const { processName } = this.blocks;
    if (root.commBytes > 0 && isMultiCall(executable, executableOffset, executableBytes))
      this.writeName(processName, executable, root.commOffset, root.commBytes);
    else this.writeName(processName, executable, executableOffset, executableBytes);
  }

  private writeProcess(root: TraceCursor): void {
    const { arena, blocks } = this;
    blocks.write(arena, blocks.executable);
    const textBegin = arena.position;
    arena.text(root.executable, root.executableOffset, root.executableOffset + root.executableBytes);
    blocks.endText(arena, blocks.executable, textBegin);
    this.writeComm(root);
    blocks.writeInt32(arena, blocks.pid, root.pid);
    blocks.writeInt32(arena, blocks.vpid, root.vpid);
    blocks.writeInt32(arena, blocks.parentPid, root.parentPid);
    blocks.writeInt32(arena, blocks.userId, root.userId);
    if (root.endReason !== blocks.sliceExit) return;
    const signal = root.exitCode & SIGNAL_MASK;
    if (signal !== 0) blocks.write(arena, blocks.exitSignals[signal] ?? blocks.exitSignals[0]);
    else blocks.writeInt32(arena, blocks.exitCode, (root.exitCode >>> 8) & 0xff);
  }

  private writeComm(root: TraceCursor): void {
    const { arena, blocks } = this;
    if (root.commBytes === 0) return;
    blocks.write(arena, blocks.threadName);
    const begin = arena.position;
    arena.text(root.executable, root.commOffset, root.commOffset + root.commBytes);
    blocks.endShortText(arena, blocks.threadName, begin);
  }

  private writeCounts(root: TraceCursor): void {
    const { arena, blocks } = this;
    blocks.writeInt32(arena, blocks.files, root.files);
    if (root.readFiles > 0) blocks.writeInt32(arena, blocks.filesByAccess[0], root.readFiles);
    if (root.writtenFiles > 0) blocks.writeInt32(arena, blocks.filesByAccess[1], root.writtenFiles);
    if (root.readWrittenFiles > 0) blocks.writeInt32(arena, blocks.filesByAccess[2], root.readWrittenFiles);
    if (root.failedFiles > 0) blocks.writeInt32(arena, blocks.filesFailed, root.failedFiles);
    if (root.heldReports > 0) blocks.writeInt32(arena, blocks.filesHeld, root.heldReports);
    if (root.isLate) blocks.write(arena, blocks.isLate);
    if (!root.isTold) return;
    blocks.writeInt32(arena, blocks.opens, root.opens);
    blocks.writeInt32(arena, blocks.opensUnsampled, root.unsampled);
    blocks.writeInt32(arena, blocks.opensDropped, root.dropped);
    blocks.write(arena, blocks.sliceEnds[root.endReason] ?? blocks.sliceEnds[0]);
  }

  private writeLink(links: Int32Array, at: number): void {
    const { arena } = this;
    const { bytes } = arena;
    const begin = arena.position;
    bytes[begin] = 0x6a;
    bytes[begin + 1] = LINK_BYTES - 2;
    bytes[begin + 2] = 0x0a;
    bytes[begin + 3] = 16;
    writeTraceId(arena, begin + 4, links[at], links[at + 1], links[at + 2], links[at + 3]);
    bytes[begin + 20] = 0x12;
    bytes[begin + 21] = 8;
    arena.patchFixed32(begin + 22, links[at + 4]);
    arena.patchFixed32(begin + 26, links[at + 5]);
    arena.position = begin + LINK_BYTES;
  }
}

/** Writes the 16 bytes of a trace id. */
export function writeTraceId(
  arena: SpanArena,
  at: number,
  trace0: number,
  trace1: number,
  trace2: number,
  trace3: number,
): void {
  arena.patchFixed32(at, trace0);
  arena.patchFixed32(at + 4, trace1);
  arena.patchFixed32(at + 8, trace2);
  arena.patchFixed32(at + 12, trace3);
}
