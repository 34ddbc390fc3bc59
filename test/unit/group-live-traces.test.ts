// Stage group on records made here: which trace a pair goes to, and when roots are due.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRecord } from '../../src/decode/check-record.ts';
import { LiveTraces } from '../../src/group/live-traces.ts';
import { LIVE_TRACES_MAX } from '../../src/group/live-traces.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import * as layout from '../../src/model/record-layout.ts';
import { TraceCursor } from '../../src/model/trace-cursor.ts';
import { pairRecord } from '../helpers/ring-memory.ts';

const SECOND_NS = 1_000_000_000n;
const SLICE_MS = 15_000;
const GRACE_MS = 5_000;

interface Given {
  readonly execution?: bigint;
  readonly begunS?: number;
  readonly openedS?: number;
  readonly closedS: number;
  readonly random?: number;
  readonly flags?: number;
  readonly reason?: number;
  readonly slot?: number;
}

function cursorOf(record: Uint8Array): RecordCursor {
  const cursor = new RecordCursor();
  cursor.bytes = new Uint8Array((record.length + 7) & ~7);
  cursor.bytes.set(record);
  cursor.words = new Uint32Array(cursor.bytes.buffer);
  cursor.length = record.length;
  assert.notEqual(checkRecord(cursor), 0);
  return cursor;
}

const ns = (seconds: number): bigint => BigInt(Math.round(seconds * 1000)) * (SECOND_NS / 1000n);

function pair(given: Given): RecordCursor {
  const { execution = 0x1234_5678_9abc_def1n, begunS = 100, openedS = begunS } = given;
  return cursorOf(
    pairRecord('/x', (view) => {
      view.setBigUint64(layout.PAIR_RECORD_EXECUTION, execution, true);
      view.setBigUint64(layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS, ns(begunS), true);
      view.setBigUint64(layout.PAIR_RECORD_OPENED_BOOT_NS, ns(openedS), true);
      view.setBigUint64(layout.PAIR_RECORD_CLOSED_BOOT_NS, ns(given.closedS), true);
      view.setUint32(layout.PAIR_RECORD_RANDOM, given.random ?? 0xfedcba98, true);
      view.setUint32(layout.PAIR_RECORD_OPEN_FLAGS, given.flags ?? 0, true);
      view.setUint8(layout.PAIR_RECORD_REASON, given.reason ?? layout.CLOSE_CLOSE);
    }),
  );
}

function sliceEnd(reason: number, endedS: number, exitCode = 0, begunS = 100): RecordCursor {
  const view = new DataView(new ArrayBuffer(layout.SLICE_RECORD_BYTES));
  view.setUint8(layout.SLICE_RECORD_KIND, layout.RECORD_SLICE_ENDED);
  view.setUint8(layout.SLICE_RECORD_REASON, reason);
  view.setBigUint64(layout.SLICE_RECORD_EXECUTION, 0x1234_5678_9abc_def1n, true);
  view.setBigUint64(layout.SLICE_RECORD_BEGUN_BOOT_NS, ns(begunS), true);
  view.setBigUint64(layout.SLICE_RECORD_ENDED_BOOT_NS, ns(endedS), true);
  view.setUint32(layout.SLICE_RECORD_OPENS, 77, true);
  view.setUint32(layout.SLICE_RECORD_UNSAMPLED, 7, true);
  view.setUint32(layout.SLICE_RECORD_DROPPED, 3, true);
  view.setInt32(layout.SLICE_RECORD_EXIT_CODE, exitCode, true);
  return cursorOf(new Uint8Array(view.buffer));
}

class Traces {
  readonly live = new LiveTraces({ bootIdLo: 1, bootIdHi: 2, sliceMs: SLICE_MS, sliceSpansMax: 1000 });

  /** Returns the trace's id and its root's. */
  add(given: Given): { traceId: string; rootId: string } {
    const trace = new TraceCursor();
    assert.ok(!this.live.isFull);
    this.live.add(pair(given), given.slot ?? 1, trace, 0, 0);
    return idsOf(trace);
  }

  /** Takes the roots that are due at a second of the boot clock. */
  rootsAt(seconds: number): TraceCursor[] {
    const roots: TraceCursor[] = [];
    for (let index = this.live.due(seconds * 1000); index >= 0; index = this.live.due(seconds * 1000)) {
      const root = new TraceCursor();
      this.live.take(index, root);
      roots.push(root);
    }
    return roots;
  }
}

function idsOf(trace: TraceCursor): { traceId: string; rootId: string } {
  const words = Buffer.alloc(24);
  const { trace0, trace1, trace2, trace3, rootLo, rootHi } = trace;
  [trace0, trace1, trace2, trace3, rootLo, rootHi].forEach((word, at) => words.writeInt32LE(word, 4 * at));
  return { traceId: words.toString('hex', 0, 16), rootId: words.toString('hex', 16) };
}

test('files of one slice share a trace, and other slices and executions have their own', () => {
  const traces = new Traces();
  const first = traces.add({ closedS: 101 });
  assert.deepEqual(traces.add({ closedS: 102 }), first);
  assert.notEqual(traces.add({ closedS: 116, begunS: 116 }).traceId, first.traceId);
  assert.notEqual(traces.add({ closedS: 102, execution: 5n }).traceId, first.traceId);
});

test('the low 56 bits of a trace id begin with the randomness of the record', () => {
  const traces = new Traces();
  const own = traces.add({ closedS: 101, random: 0x01020304 }).traceId;
  const late = traces.add({ closedS: 200, random: 0x01020304 }).traceId;
  assert.equal(own.slice(18, 26), '01020304');
  assert.notEqual(late, own);
  assert.equal(late.slice(18), own.slice(18), 'one slice has one R, in each of its traces');
});

test('a root is due 5 s after its slice, or when the process ends', () => {
  const traces = new Traces();
  traces.add({ closedS: 101 });
  assert.equal(traces.rootsAt(100 + (SLICE_MS + GRACE_MS) / 1000 - 0.001).length, 0);
  assert.equal(traces.rootsAt(100 + (SLICE_MS + GRACE_MS) / 1000).length, 1);
  traces.add({ closedS: 121, begunS: 120 });
  traces.live.endSlice(sliceEnd(layout.SLICE_EXIT, 122, 3 << 8, 120));
  const [root] = traces.rootsAt(123);
  assert.equal(root.exitCode >> 8, 3);
  assert.deepEqual([root.endReason, root.opens, root.unsampled, root.dropped], [3, 77, 7, 3]);
  assert.equal(BigInt(root.endedHi >>> 0) * 2n ** 32n + BigInt(root.endedLo >>> 0), ns(122));
});

test('a root spans its children and counts them by access', () => {
  const traces = new Traces();
  traces.add({ closedS: 103, openedS: 99.5, flags: 0 });
  traces.add({ closedS: 104, openedS: 102, flags: 1 });
  traces.add({ closedS: 102, openedS: 101, flags: 2 });
  traces.add({ closedS: 102, openedS: 102, flags: 2, reason: layout.CLOSE_FAILED });
  const [root] = traces.rootsAt(1000);
  assert.deepEqual(
    [root.files, root.readFiles, root.writtenFiles, root.readWrittenFiles, root.failedFiles],
    [4, 1, 1, 2, 1],
  );
  const at = (lo: number, hi: number): bigint => BigInt(hi >>> 0) * 2n ** 32n + BigInt(lo >>> 0);
  assert.deepEqual([at(root.startedLo, root.startedHi), at(root.endedLo, root.endedHi)], [ns(99.5), ns(104)]);
  assert.equal(root.isTold, false);
});

test('no trace is opened again after its root: what ends later has a trace of its own that links to it', () => {
  const traces = new Traces();
  const own = traces.add({ closedS: 101 });
  traces.live.endSlice(sliceEnd(layout.SLICE_EXEC, 102));
  assert.equal(traces.rootsAt(103).length, 1);
  // In time by the clock, but its slice's root is gone: the process has executed another program.
  const late = traces.add({ closedS: 104 });
  assert.notEqual(late.traceId, own.traceId);
  assert.deepEqual(traces.add({ closedS: 104.5 }), late, 'two late files of one slice share a trace');
  const [root] = traces.rootsAt(125);
  assert.ok(root.isLate);
  assert.equal(root.linkCount, 1, 'the root before is that of the slice: one link, not two');
  const link = Buffer.from(root.links.buffer, 0, 24).toString('hex');
  assert.equal(link, own.traceId + own.rootId);
  const later = traces.add({ closedS: 300 });
  assert.notEqual(later.traceId, late.traceId);
  const [third] = traces.rootsAt(400);
  assert.equal(third.linkCount, 2, "its slice's root and the last one");
});

test('a late trace that is full is followed by another', () => {
  const traces = new Traces();
  const ids = new Set<string>();
  for (let file = 0; file < 2500; file += 1) ids.add(traces.add({ closedS: 200 }).traceId);
  assert.equal(ids.size, 3);
  const roots = traces.rootsAt(1000);
  assert.deepEqual(roots.map(({ files }) => files).sort(), [1000, 1000, 500]);
});

test('when all places are taken the oldest root goes first, and its trace stays closed', () => {
  const traces = new Traces();
  const first = traces.add({ closedS: 101, begunS: 100 });
  for (let other = 1; other < LIVE_TRACES_MAX; other += 1)
    traces.add({ execution: BigInt(other), begunS: 101, closedS: 102 });
  assert.ok(traces.live.isFull);
  const { oldest } = traces.live;
  traces.live.evict(oldest);
  const root = new TraceCursor();
  traces.live.take(oldest, root);
  assert.equal(idsOf(root).traceId, first.traceId);
  assert.notEqual(traces.add({ closedS: 103, begunS: 100 }).traceId, first.traceId);
  assert.equal(traces.live.evictedCount, 1);
});

test("a slot's traces are found until there is none", () => {
  const traces = new Traces();
  traces.add({ closedS: 101, slot: 7 });
  traces.add({ closedS: 101, slot: 8, execution: 5n });
  traces.add({ closedS: 101, slot: 7, execution: 6n });
  let count = 0;
  for (let index = traces.live.ofSlot(7); index >= 0; index = traces.live.ofSlot(7)) {
    traces.live.take(index, new TraceCursor());
    count += 1;
  }
  assert.equal(count, 2);
  assert.equal(traces.live.count, 1);
});
