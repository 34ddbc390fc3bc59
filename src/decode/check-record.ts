// Stage decode: tells whether the bytes under the cursor are a record that the later stages can read
// without looking at lengths again. Takes any bytes, never throws, never allocates.
import type { RecordCursor } from '../model/record-cursor.ts';
import * as layout from '../model/record-layout.ts';

/** The kind of bytes that are no record. */
export const RECORD_INVALID = 0;

/** Checks the record under the cursor, finds its strings, and returns its kind or RECORD_INVALID. */
export function checkRecord(cursor: RecordCursor): number {
  if (cursor.length < 8) return RECORD_INVALID;
  switch (cursor.u8(layout.PAIR_RECORD_KIND)) {
    case layout.RECORD_PAIR:
      return checkPair(cursor);
    case layout.RECORD_SCOPE_CREATED:
      return checkScopeCreated(cursor);
    case layout.RECORD_SCOPE_REMOVED:
      return cursor.length < layout.SCOPE_REMOVED_RECORD_BYTES ? RECORD_INVALID : layout.RECORD_SCOPE_REMOVED;
    case layout.RECORD_SCOPE_DESCRIBED:
      return checkProcess(cursor, layout.RECORD_SCOPE_DESCRIBED);
    case layout.RECORD_NAMESPACE_MET:
      return checkProcess(cursor, layout.RECORD_NAMESPACE_MET);
    case layout.RECORD_SLICE_ENDED:
      return cursor.length < layout.SLICE_RECORD_BYTES ? RECORD_INVALID : layout.RECORD_SLICE_ENDED;
    default:
      return RECORD_INVALID;
  }
}

function checkPair(cursor: RecordCursor): number {
  if (cursor.length < layout.PAIR_RECORD_BYTES) return RECORD_INVALID;
  if (cursor.u8(layout.PAIR_RECORD_REASON) > layout.CLOSE_HELD) return RECORD_INVALID;
  const executableBytes = cursor.u16(layout.PAIR_RECORD_EXECUTABLE_BYTES);
  const pathBytes = cursor.u16(layout.PAIR_RECORD_PATH_BYTES);
  if (executableBytes > layout.EXECUTABLE_BYTES_MAX || pathBytes > layout.PATH_BYTES_MAX)
    return RECORD_INVALID;
  if (layout.PAIR_RECORD_BYTES + executableBytes + pathBytes > cursor.length) return RECORD_INVALID;
  cursor.executableOffset = cursor.offset + layout.PAIR_RECORD_BYTES;
  cursor.executableBytes = executableBytes;
  cursor.path = cursor.bytes;
  cursor.pathOffset = cursor.executableOffset + executableBytes;
  cursor.pathBytes = pathBytes;
  return layout.RECORD_PAIR;
}

function checkProcess(cursor: RecordCursor, kind: number): number {
  return cursor.length < layout.SCOPE_DESCRIBED_RECORD_BYTES ? RECORD_INVALID : kind;
}

function checkScopeCreated(cursor: RecordCursor): number {
  if (cursor.length < layout.SCOPE_CREATED_RECORD_BYTES) return RECORD_INVALID;
  const pathBytes = cursor.u16(layout.SCOPE_CREATED_RECORD_PATH_BYTES);
  if (pathBytes > layout.CGROUP_PATH_BYTES_MAX) return RECORD_INVALID;
  if (layout.SCOPE_CREATED_RECORD_BYTES + pathBytes > cursor.length) return RECORD_INVALID;
  return layout.RECORD_SCOPE_CREATED;
}
