// The names of traces' roots, whose text is an executable's or a container's: any bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeSpans } from '../helpers/otlp-messages.ts';
import { recordOf, type Pair } from '../helpers/pair-model.ts';
import { RingPump } from '../helpers/ring-pump.ts';

const NAME_BYTES_MAX = 255;

function pairOf(executable: Buffer): Pair {
  return {
    reason: 1,
    flags: 0,
    executable,
    path: Buffer.from('/a'),
    comm: new Uint8Array(16),
    openedBootNs: 5n,
    closedBootNs: 6n,
    openDurationNs: 1n,
    execution: 7n,
    sliceBegunBootNs: 4n,
    random: 1,
    inode: 1n,
    sizeBytes: 0n,
    pid: 9,
    tid: 9,
    vpid: 1,
    parentPid: 1,
    userId: 0,
    fd: 3,
    openFlags: 0,
    mode: 0o100644,
    device: 1,
    namespaces: [0, 0, 0, 0, 0, 0, 0],
  };
}

function rootNameOf(pump: RingPump, executable: Buffer): string {
  const { requests } = pump.run([{ bytes: recordOf(pairOf(executable)) }]);
  const roots = requests.flatMap(decodeSpans).filter(({ span }) => span.parentSpanId === '');
  assert.equal(roots.length, 1);
  return roots[0].span.name;
}

for (const [what, executable] of [
  ['bytes that are no UTF-8', Buffer.alloc(255, 0xff)],
  ['characters of four bytes', Buffer.from('\u{1f600}'.repeat(63))],
  ['characters of three bytes', Buffer.from('€'.repeat(85))],
  ['plain text', Buffer.alloc(255, 'a')],
] as const) {
  test(`a root that is named after 255 bytes of ${what} has a name of 255 bytes at most, whole characters`, () => {
    const name = rootNameOf(new RingPump(), executable);
    assert.ok(
      Buffer.byteLength(name) <= NAME_BYTES_MAX && Buffer.byteLength(name) > NAME_BYTES_MAX - 4,
      name,
    );
    assert.ok(!name.includes('\ufffd'));
  });
}

test('a root that is named after a short executable has its whole name', () => {
  assert.equal(rootNameOf(new RingPump(), Buffer.from('cat')), 'process cat');
});

test('a root that is named after a container has a name of 255 bytes at most, whole characters', () => {
  const pump = new RingPump({ traceGroupBy: 'container' });
  const update = {
    slot: 0,
    resourceBytes: new Uint8Array(0),
    name: '€'.repeat(85),
    namespaces: new Uint32Array(7),
  };
  pump.run([], [{ type: 'container', update }]);
  const { requests } = pump.run([{ bytes: recordOf(pairOf(Buffer.from('cat'))) }]);
  const { name } = requests.flatMap(decodeSpans).find(({ span }) => span.parentSpanId === '')!.span;
  assert.ok(Buffer.byteLength(name) <= NAME_BYTES_MAX && name.startsWith('container €'), name);
  assert.ok(!name.includes('\ufffd'));
});
