// The line before the runtimes: who is asked about first, and who holds how many places.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LookupLine, type LookupPlace, type LookupRank } from '../../src/containers/lookup-line.ts';

function lineOf(all: number) {
  const line = new LookupLine({ all, ofUser: 1, later: 1 });
  const begun: string[] = [];
  const take = (name: string, rank: LookupRank, user: number | null = null): LookupPlace => {
    const place = { rank, user };
    void line.take(place).then(() => begun.push(name));
    return place;
  };
  const settle = async (): Promise<string[]> => {
    await new Promise(setImmediate);
    return begun.splice(0);
  };
  return { line, take, settle };
}

test('those that nothing waits for hold a part of the places, and new ones find the others free', async () => {
  const { take, settle } = lineOf(3);
  take('later 1', 'later');
  take('later 2', 'later');
  take('new', 'first');
  take('waiting', 'again');
  assert.deepEqual(await settle(), ['later 1', 'new', 'waiting']);
});

test('a place goes to the new, then to those whose records wait, then to the others', async () => {
  const { line, take, settle } = lineOf(1);
  const held = take('held', 'first');
  const [later, again, first] = [take('later', 'later'), take('again', 'again'), take('first', 'first')];
  assert.deepEqual(await settle(), ['held']);
  for (const place of [held, first, again, later]) line.give(place);
  assert.deepEqual(await settle(), ['first', 'again', 'later']);
});

test("one user's groups hold a part of the places, which is counted", async () => {
  const { line, take, settle } = lineOf(2);
  take('one', 'first', 1000);
  take('two', 'first', 1000);
  take('of root', 'again');
  assert.deepEqual(await settle(), ['one', 'of root']);
  assert.equal(line.heldByUser, 1);
});
