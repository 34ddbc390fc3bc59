// What a power cut leaves: a file whose length is on the disk and whose end is not, blocks that came out of order, and heads cut
// in the middle. What is whole is sent; what isn't is counted, where anything still tells how many spans it had.
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import {
  giveRequests,
  numbersOf,
  range,
  segmentFiles,
  SPANS,
  spoolFolder,
  startSpooled,
  until,
} from '../helpers/spooled.ts';

const REQUESTS = 40;
/** As docs/decisions/0013 has it: a head of 48 bytes, a tail of 40, each at a multiple of 8. */
const [HEAD_BYTES, TAIL_BYTES, ALIGNMENT_BYTES] = [48, 40, 8];
/** Of a head, what its sum covers and the sum; the state is behind. */
const SUMMED_BYTES = 40;
const SECTOR_BYTES = 512;

/** Leaves {@link REQUESTS} requests in one file, oldest first; returns its folder and path. */
async function filled(t: TestContext): Promise<{ dir: string; file: string }> {
  const dir = spoolFolder(t);
  const harness = await startSpooled(dir, {
    endpoint: `http://127.0.0.1:${await freePort()}`,
    requestsInFlightMax: 1,
  });
  await giveRequests(harness, 0, REQUESTS);
  // Those that were in memory go before the others, into a file of their own.
  await harness.end(0);
  assert.equal(harness.exporter.spool?.waiting.spans, REQUESTS * SPANS);
  const [, file] = segmentFiles(dir);
  return { dir, file };
}

interface Sent {
  readonly numbers: readonly number[];
  readonly recovered: number;
  readonly damaged: number;
  readonly warnings: readonly string[];
}

/** Starts on the folder and sends what is there. */
async function sendAll(t: TestContext, dir: string): Promise<Sent> {
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const harness = await startSpooled(dir, {
    endpoint: receiver.endpoint,
    requestsInFlightMax: 1,
    timeoutMs: 60_000,
  });
  await until(() => harness.isDrained);
  await harness.end();
  const { spans_accepted, spool_recovered, spool_damaged, queue_full, shutdown } = harness.counters;
  assert.equal(receiver.spanCount, spans_accepted, 'nothing comes twice');
  assert.equal(queue_full + shutdown, 0);
  assert.deepEqual(segmentFiles(dir), [], 'damaged bytes are not kept');
  return {
    numbers: numbersOf(receiver),
    recovered: spool_recovered,
    damaged: spool_damaged,
    warnings: harness.warnings(/spool/).map(({ message, fields }) => `${message} ${String(fields.reason)}`),
  };
}

/** Where the requests of a file lie: by the magic words of their heads, which no compressed body of these holds. */
function headsOf(bytes: Buffer): number[] {
  return range(0, bytes.length / ALIGNMENT_BYTES)
    .map((index) => index * ALIGNMENT_BYTES)
    .filter((at) => bytes.toString('latin1', at, at + 4) === 'fdsH');
}

test('a tail of zeros or of garbage behind what was written costs nothing', async (t) => {
  for (const tail of [Buffer.alloc(1), Buffer.alloc(100_003), randomBytes(100_003), randomBytes(7)]) {
    const { dir, file } = await filled(t);
    appendFileSync(file, tail);
    const { numbers, recovered, damaged, warnings } = await sendAll(t, dir);
    assert.deepEqual(numbers, range(0, REQUESTS));
    assert.deepEqual([recovered, damaged], [REQUESTS * SPANS, 0]);
    assert.match(warnings.join(), new RegExp(`how many spans .* not known ${tail.length} bytes of ${file}`));
  }
});

test('a head that was cut in the middle is told by its bytes, and all before it is sent', async (t) => {
  for (const left of [1, 4, ALIGNMENT_BYTES, HEAD_BYTES - 1]) {
    const { dir, file } = await filled(t);
    const bytes = readFileSync(file);
    const heads = headsOf(bytes);
    const cut = heads.at(-1)! + left;
    writeFileSync(file, bytes.subarray(0, cut));
    const { numbers, recovered, damaged, warnings } = await sendAll(t, dir);
    assert.deepEqual(numbers, range(0, REQUESTS - 1));
    assert.deepEqual([recovered, damaged], [(REQUESTS - 1) * SPANS, 0]);
    assert.match(warnings.join(), new RegExp(`${left} bytes of ${file}`));
  }
});

test('a body whose end never came is counted by its head', async (t) => {
  for (const kind of ['cut', 'zeros'] as const) {
    const { dir, file } = await filled(t);
    const bytes = readFileSync(file);
    const end = headsOf(bytes).at(-1)! + HEAD_BYTES + randomInt(50);
    if (kind === 'zeros') writeFileSync(file, bytes.fill(0, end));
    else writeFileSync(file, bytes.subarray(0, end));
    const { numbers, recovered, damaged } = await sendAll(t, dir);
    assert.deepEqual(numbers, range(0, REQUESTS - 1), kind);
    assert.deepEqual([recovered, damaged], [REQUESTS * SPANS, SPANS], kind);
  }
});

test('blocks of zeros in the middle cost the requests that they touch, and no other', async (t) => {
  for (let turn = 0; turn < 8; turn += 1) {
    const { dir, file } = await filled(t);
    const bytes = readFileSync(file);
    const heads = headsOf(bytes);
    const first = REQUESTS - heads.length;
    // As a disk writes: whole sectors.
    const from = randomInt(Math.floor(bytes.length / SECTOR_BYTES)) * SECTOR_BYTES;
    const to = Math.min(bytes.length, from + (1 + randomInt(6)) * SECTOR_BYTES);
    const cut = Buffer.from(bytes).fill(0, from, to);
    writeFileSync(file, cut);
    const isHurt = (begin: number, end: number): boolean =>
      !cut.subarray(begin, end).equals(bytes.subarray(begin, end));
    const requests = heads.map((head, index) => {
      const tail = (heads[index + 1] ?? bytes.length) - TAIL_BYTES;
      // Where head and tail are both gone nothing tells of its spans; where one is left, it does.
      const isGone = isHurt(head, head + SUMMED_BYTES) && isHurt(tail, tail + TAIL_BYTES);
      return { number: first + index, isGone, isTorn: !isGone && isHurt(head + HEAD_BYTES, tail) };
    });
    const { numbers, recovered, damaged } = await sendAll(t, dir);
    const gone = requests.filter(({ isGone }) => isGone);
    const torn = requests.filter(({ isTorn }) => isTorn);
    const lost = [...gone, ...torn].map(({ number }) => number);
    const context = `bytes ${from} to ${to} of ${bytes.length}`;
    assert.deepEqual(
      numbers,
      range(0, REQUESTS).filter((number) => !lost.includes(number)),
      context,
    );
    assert.equal(recovered, (REQUESTS - gone.length) * SPANS, context);
    assert.equal(damaged, torn.length * SPANS, context);
  }
});

test('a file that is all zeros, and one of no length, are put away', async (t) => {
  const { dir, file } = await filled(t);
  const others = REQUESTS - headsOf(readFileSync(file)).length;
  writeFileSync(file, Buffer.alloc(readFileSync(file).length));
  writeFileSync(`${dir}/80000007-00000007.spool`, '');
  const { numbers, damaged } = await sendAll(t, dir);
  assert.deepEqual(numbers, range(0, others));
  assert.equal(damaged, 0);
});
