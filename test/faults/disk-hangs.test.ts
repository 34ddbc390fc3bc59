// A disk that doesn't answer: a file system that is frozen while the spool writes to it. What it holds comes back when it is
// thawed; until then nothing may wait for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { mountExt4, whyNoPrivateDisk } from '../helpers/private-disk.ts';
import { giveRequests, range, SPANS, startSpooled, tagOf, until } from '../helpers/spooled.ts';
import { exportRequest } from '../helpers/export-harness.ts';

const skip = whyNoPrivateDisk() ?? false;
const QUEUE_BYTES = 40_000;

test(
  'a disk that hangs costs what memory can not hold, as queue_full; what it holds comes when it wakes up',
  { skip },
  async (t) => {
    const disk = await mountExt4(t, 32 << 20);
    const port = await freePort();
    // gzip runs on libuv's threads, as the calls that hang do.
    const harness = await startSpooled(`${disk.path}/spool`, {
      endpoint: `http://127.0.0.1:${port}`,
      queueBytesMax: QUEUE_BYTES,
      compression: 'gzip',
    });
    t.after(() => harness.exporter.close());
    await giveRequests(harness, 0, 500);
    await until(() => harness.exporter.spool!.waiting.spans > 0);
    await disk.run('fsfreeze --freeze "$disk"');
    for (const index of range(500, 3000)) {
      await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
      assert.ok(harness.exporter.queuedBytes <= QUEUE_BYTES, 'memory keeps its bound');
      harness.assertLaw();
    }
    assert.ok(harness.counters.queue_full > 0);
    await until(() => harness.warnings(/the spool/).length > 0);
    assert.match(String(harness.warnings(/the spool/)[0].fields.reason), /no answer from the disk/);

    const receiver = await startReceiver({ protocol: 'http/protobuf', port });
    t.after(() => receiver.close());
    // All but the one whose write hangs.
    await until(() => harness.exporter.unsettledSpans === SPANS);
    const before = harness.counters.queue_full;
    for (const index of range(3000, 3100)) {
      await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
      await until(() => harness.exporter.unsettledSpans === SPANS);
    }
    assert.equal(harness.counters.queue_full, before, 'while the backend works, the disk is not missed');

    await disk.run('fsfreeze --unfreeze "$disk"');
    await until(() => harness.isDrained);
    await harness.end();
    assert.equal(receiver.spanCount, harness.counters.spans_accepted);
    assert.equal(harness.counters.spans_accepted + harness.counters.queue_full, 31_000);
  },
);

test('a stop does not wait for a disk that hangs, and counts what it could not keep', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const dir = `${disk.path}/spool`;
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
  t.after(() => harness.exporter.close());
  await giveRequests(harness, 0, 100);
  await disk.run('fsfreeze --freeze "$disk"');
  for (const index of range(100, 105)) await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
  await harness.end(50);
  const { shutdown } = harness.counters;
  assert.ok(shutdown > 0);
  assert.equal(shutdown + harness.exporter.spool!.waiting.spans, 1050);
  await disk.run('fsfreeze --unfreeze "$disk"');
});

test(
  'a disk that hangs at the start is used once it wakes up, and what it held is sent',
  { skip },
  async (t) => {
    const disk = await mountExt4(t, 32 << 20);
    const dir = `${disk.path}/spool`;
    const first = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
    t.after(() => first.exporter.close());
    await giveRequests(first, 0, 100);
    await first.end(0);
    await disk.run('fsfreeze --freeze "$disk"');
    const receiver = await startReceiver({ protocol: 'http/protobuf' });
    t.after(() => receiver.close());
    const second = await startSpooled(dir, { endpoint: receiver.endpoint });
    t.after(() => second.exporter.close());
    assert.match(
      JSON.stringify(second.warnings(/the spool can not be used/)),
      /opening the folder: no answer from the disk for 5 s/,
    );
    await second.give(exportRequest(SPANS, tagOf(100)), SPANS);
    await until(() => second.counters.spans_accepted === SPANS);
    await disk.run('fsfreeze --unfreeze "$disk"');
    await until(() => second.counters.spool_recovered === 1000 && second.isDrained);
    await second.end();
    assert.equal(receiver.spanCount, 1010);
  },
);
