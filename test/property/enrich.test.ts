// Stage enrich against a Map and an array: the table of scopes, and the area of waiting records.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ScopeTable } from '../../src/enrich/scope-table.ts';
import { SCOPE_UNKNOWN, SCOPE_WAITING } from '../../src/model/scope-state.ts';
import { WAITING_BYTES_MAX, WaitingArea } from '../../src/enrich/waiting-area.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';

const SCOPES_MAX = 12;
const WAITING_MAX = 3;

test('the table of scopes does as a Map of bounded size, of which so many wait at most', () => {
  // Few keys, so that they meet; with halves that agree, and the key 0.
  const word = fc.constantFrom(0, 1, 2, 16, 0x40000000, 0xffffffff);
  const step = fc.record({
    does: fc.constantFrom('set', 'set', 'remove'),
    lo: word,
    hi: word,
    state: fc.constantFrom(SCOPE_WAITING, -3, 0, 1, 4096),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new ScopeTable(SCOPES_MAX, WAITING_MAX);
      const model = new Map<string, number>();
      for (const { does, lo, hi, state } of steps) {
        const key = `${lo} ${hi}`;
        if (does === 'remove') {
          table.remove(lo, hi);
          model.delete(key);
        } else {
          const others = [...model].filter(([other, known]) => other !== key && known === SCOPE_WAITING);
          const mayWait = state !== SCOPE_WAITING || others.length < WAITING_MAX;
          const hasRoom = mayWait && (model.has(key) || model.size < SCOPES_MAX);
          assert.equal(table.set(lo, hi, state), hasRoom);
          if (hasRoom) model.set(key, state);
        }
        for (const { lo: otherLo, hi: otherHi } of steps)
          assert.equal(table.find(otherLo, otherHi), model.get(`${otherLo} ${otherHi}`) ?? SCOPE_UNKNOWN);
      }
    }),
    { numRuns: 200 },
  );
});

function addTo(area: WaitingArea, bytes: Uint8Array): boolean {
  const cursor = new RecordCursor();
  const offset = 16;
  cursor.bytes = new Uint8Array(offset + bytes.length).fill(0xee);
  cursor.bytes.set(bytes, offset);
  cursor.offset = offset;
  cursor.length = bytes.length;
  return area.add(cursor);
}

function recordUnder(cursor: RecordCursor): Buffer {
  assert.equal(cursor.offset % 8, 0);
  assert.equal(cursor.words.buffer, cursor.bytes.buffer);
  return Buffer.from(cursor.bytes.subarray(cursor.offset, cursor.offset + cursor.length));
}

test('the waiting area does as an array of bounded length, in order', () => {
  const RECORDS_MAX = 20;
  const record = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 60 }),
    fc.constant(new Uint8Array(4503).fill(7)),
  );
  const step = fc.oneof(
    { weight: 4, arbitrary: record.map((bytes) => ({ bytes, replay: null })) },
    // A replay that takes or keeps one after the other, and may end before the last.
    {
      weight: 1,
      arbitrary: fc.array(fc.boolean(), { maxLength: 25 }).map((replay) => ({ bytes: null, replay })),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const area = new WaitingArea(RECORDS_MAX);
      let model: Uint8Array[] = [];
      const cursor = new RecordCursor();
      for (const { bytes, replay } of steps) {
        if (bytes !== null) {
          assert.equal(addTo(area, bytes), model.length < RECORDS_MAX);
          if (model.length < RECORDS_MAX) model.push(bytes);
        } else {
          const kept: Uint8Array[] = [];
          let seen = 0;
          area.startReplay();
          for (const isTaken of replay) {
            if (!area.next(cursor)) break;
            assert.ok(recordUnder(cursor).equals(model[seen]));
            if (isTaken) area.take();
            else {
              area.keep();
              kept.push(model[seen]);
            }
            seen += 1;
          }
          area.endReplay();
          assert.equal(seen, Math.min(replay.length, model.length));
          model = [...kept, ...model.slice(seen)];
        }
        assert.equal(area.count, model.length);
      }
      area.startReplay();
      for (const expected of model) {
        assert.equal(area.next(cursor), true);
        assert.ok(recordUnder(cursor).equals(expected));
        area.take();
      }
      assert.equal(area.next(cursor), false);
    }),
    { numRuns: 300 },
  );
});

test('the waiting area refuses what would pass its bytes, and takes records again once there is room', () => {
  const area = new WaitingArea(1 << 20);
  const bytes = new Uint8Array(4504);
  const recordsMax = Math.floor(WAITING_BYTES_MAX / (4504 + 8));
  let added = 0;
  while (addTo(area, bytes.fill(added & 0xff))) added += 1;
  assert.equal(added, recordsMax);
  const cursor = new RecordCursor();
  area.startReplay();
  area.next(cursor);
  area.take();
  area.endReplay();
  assert.equal(addTo(area, bytes), true);
  assert.equal(addTo(area, bytes), false);
  area.startReplay();
  for (let at = 1; area.next(cursor); at += 1, area.take()) {
    const record = recordUnder(cursor);
    assert.equal(record[0], (at === added ? added : at) & 0xff);
    assert.equal(record.length, 4504);
  }
});
