// What the pump remembers of scopes, and which records about them it sends on: the whole pump over a ring in memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNTER_BLOCK_BYTES, gaugeIndex, readCounters } from '../../src/model/counters.ts';
import { wordsOf, type ToPump } from '../../src/model/pump-messages.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import * as layout from '../../src/model/record-layout.ts';
import { ScopeRecordSender } from '../../src/pump/scope-record-sender.ts';
import { pairRecord } from '../helpers/ring-memory.ts';
import { RingPump } from '../helpers/ring-pump.ts';

const CONTAINER = 1_000_003n;
const GROUP = 1_000_019n;

type Verdict = Extract<ToPump, { type: 'scope' }>['verdict']['verdict'];

function verdict(scope: bigint, told: Verdict, slot = 0): ToPump {
  return { type: 'scope', verdict: { ...wordsOf(scope), verdict: told, slot } };
}

function pairOf(scope: bigint): { bytes: Uint8Array } {
  return { bytes: pairRecord('/data/a', (view) => view.setBigUint64(layout.PAIR_RECORD_SCOPE, scope, true)) };
}

/** A pump whose main thread answers each question with `told`. */
function pumpThatHears(told: Verdict): { pump: RingPump; asked: string[] } {
  const asked: string[] = [];
  const answer = (scopeLo: number, scopeHi: number): ToPump => {
    asked.push(`${scopeHi}:${scopeLo}`);
    return { type: 'scope', verdict: { scopeLo, scopeHi, verdict: told, slot: 0 } };
  };
  return { pump: new RingPump({}, [], answer), asked };
}

test('more groups of the host than the table has places leave it all to containers', () => {
  const { pump, asked } = pumpThatHears('ignore');
  const strangers = Array.from({ length: 5000 }, (_, index) => verdict(BigInt(index + 1), 'ignore'));
  const { counters } = pump.run([], [...strangers, verdict(CONTAINER, 'trace', 1)]);
  assert.equal(counters.scopes_full, 0);
  const { counters: later } = pump.run([pairOf(CONTAINER)]);
  assert.deepEqual(asked, []);
  assert.deepEqual([later.spans_encoded, later.unjudged_overflow], [1, 0]);
});

test('groups of the host that pairs came of leave their places too', () => {
  const { pump, asked } = pumpThatHears('ignore');
  for (let first = 1; first <= 5000; first += 50) {
    const pairs = Array.from({ length: 50 }, (_, index) => pairOf(BigInt(first + index)));
    const { counters } = pump.run(pairs);
    assert.deepEqual([counters.container_denied, counters.unjudged_overflow], [50, 0]);
  }
  assert.equal(asked.length, 5000);
  const { counters } = pump.run([pairOf(CONTAINER)], [verdict(CONTAINER, 'trace', 1)]);
  assert.deepEqual([counters.spans_encoded, counters.scopes_full], [1, 0]);
});

test('a late pair of an ignored group is asked about again, and denied', () => {
  const { pump, asked } = pumpThatHears('ignore');
  pump.run([], [verdict(GROUP, 'ignore')]);
  const { counters } = pump.run([pairOf(GROUP)]);
  assert.equal(asked.length, 1);
  assert.deepEqual([counters.container_denied, counters.unjudged_overflow], [1, 0]);
});

test("pairs of a host's group, opened before its verdict, are the host's where it is traced", () => {
  const { pump } = pumpThatHears('host');
  const { counters } = pump.run([pairOf(GROUP), pairOf(GROUP)]);
  assert.deepEqual([counters.spans_encoded, counters.container_denied], [2, 0]);
});

test('a container that was traced and then denied keeps its place: what it opened before is its own', () => {
  const { pump, asked } = pumpThatHears('ignore');
  pump.run([], [verdict(GROUP, 'trace', 2), verdict(GROUP, 'ignore', 2)]);
  const { counters } = pump.run([pairOf(GROUP)]);
  assert.deepEqual(asked, []);
  assert.equal(counters.spans_encoded, 1);
});

test('a verdict that finds no place is counted', () => {
  const { pump } = pumpThatHears('ignore');
  const traced = Array.from({ length: 1030 }, (_, index) => verdict(BigInt(index + 1), 'trace', 1));
  assert.equal(
    pump.run([], traced).counters.scopes_full,
    1030 - 1024,
    'the table of the tests has 1,024 places',
  );
});

function sender() {
  const counters = new Float64Array(COUNTER_BLOCK_BYTES / 8);
  let posted = 0;
  const scopeRecords = new ScopeRecordSender(() => void (posted += 1), counters);
  const cursor = new RecordCursor();
  /** Sends so many records of the kind; returns how many went out. */
  const send = (kind: number, count: number): number => {
    const before = posted;
    cursor.bytes = Uint8Array.of(kind, 0, 0, 0, 0, 0, 0, 0);
    cursor.length = 8;
    for (let index = 0; index < count; index += 1) scopeRecords.send(cursor);
    return posted - before;
  };
  const taken = (count: number): void => void (counters[gaugeIndex('scope_records_taken')] += count);
  return { send, taken, lost: () => readCounters(counters).scope_records_lost };
}

test('at most 16,384 records about groups wait for the main thread, and what is more is counted as lost', () => {
  const { send, taken, lost } = sender();
  assert.equal(send(layout.RECORD_SCOPE_CREATED, 20_000), 16_384);
  assert.equal(lost(), 20_000 - 16_384);
  taken(7);
  assert.equal(send(layout.RECORD_SCOPE_REMOVED, 9), 7);
  assert.equal(lost(), 20_000 - 16_384 + 2);
});

test('records that describe are lost last, as the kernel takes them for told', () => {
  const { send, lost } = sender();
  send(layout.RECORD_SCOPE_CREATED, 16_384);
  assert.equal(send(layout.RECORD_SCOPE_DESCRIBED, 20_000), 16_384);
  assert.equal(lost(), 20_000 - 16_384);
});
