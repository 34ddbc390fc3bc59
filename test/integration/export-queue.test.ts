import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ExportHarness, exportRequest } from '../helpers/export-harness.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver, type Behaviour } from '../helpers/otlp-receiver.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Reason: some chunks of zlib that aren't collected yet; a thousand of them would be 250 MiB. */
const REST_BYTES = 4 << 20;

/** Returns the bytes in buffers. What zlib had is garbage only after some turns. */
async function bufferBytes(): Promise<number> {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise(setImmediate);
    collect();
  }
  return process.memoryUsage().arrayBuffers;
}

for (const protocol of ['grpc', 'http/protobuf'] as const) {
  test(`${protocol}: a backend that comes up late gets what waited, told by one warning and one info`, async (t) => {
    const port = await freePort();
    const harness = new ExportHarness({ protocol, endpoint: `http://127.0.0.1:${port}` });
    for (let index = 0; index < 20; index += 1) await harness.give(exportRequest(10), 10);
    while (harness.counters.requests_retried < 3) await new Promise(setImmediate);
    harness.assertLaw();
    assert.equal(harness.counters.spans_accepted, 0);
    const receiver = await startReceiver({ protocol, port });
    t.after(() => receiver.close());
    await receiver.waitFor(({ spanCount }) => spanCount === 200);
    await harness.end();
    assert.equal(harness.counters.spans_accepted, 200);
    assert.deepEqual(
      harness.log.map(({ level }) => level),
      ['warn', 'info'],
    );
    assert.match(String(harness.log[0].fields.reason), /ECONNREFUSED/);
    assert.match(String(harness.log[0].fields.cure), /start the backend/);
    assert.equal(
      harness.log[0].fields.endpoint,
      `http://127.0.0.1:${port}${protocol === 'grpc' ? '' : '/v1/traces'}`,
    );
  });

  test(`${protocol}: while the backend is down, one request at a time tries it`, async () => {
    const harness = new ExportHarness({
      protocol,
      endpoint: `http://127.0.0.1:${await freePort()}`,
      requestsInFlightMax: 4,
    });
    for (let index = 0; index < 20; index += 1) await harness.give(exportRequest(10), 10);
    while (harness.counters.requests_retried < 3) {
      if (harness.counters.requests_sent > 4) assert.ok(harness.exporter.inFlightSpans <= 10);
      await new Promise(setImmediate);
    }
    await harness.end(0);
    assert.equal(harness.counters.shutdown, 200);
  });

  test(`${protocol}: a host name that doesn't resolve is told with its cure`, async () => {
    const harness = new ExportHarness({ protocol, endpoint: 'http://no-such-host.invalid:4317' });
    await harness.give(exportRequest(10), 10);
    await harness.end(300);
    assert.equal(harness.counters.shutdown, 10);
    assert.match(String(harness.log[0].fields.reason), /ENOTFOUND|EAI_AGAIN/);
    assert.match(String(harness.log[0].fields.cure), /host name/);
  });

  test(`${protocol}: a full queue drops its oldest requests, by bytes, and counts their spans`, async (t) => {
    const receiver = await startReceiver({ protocol, otherwise: { type: 'http-status', status: 503 } });
    t.after(() => receiver.close());
    const bytes = exportRequest(10, 'request 00').length;
    const harness = new ExportHarness({
      protocol,
      endpoint: receiver.endpoint,
      queueBytesMax: 5 * bytes,
      requestsInFlightMax: 1,
    });
    for (let index = 0; index < 40; index += 1) {
      const request = exportRequest(10, `request ${String(index).padStart(2, '0')}`);
      await harness.give(request, 10);
      assert.ok(harness.exporter.queuedBytes <= 5 * bytes);
      harness.assertLaw();
    }
    assert.equal(harness.warnings(/queue is full/).length, 1);
    receiver.otherwise = { type: 'accept' };
    await harness.end();
    // One may have been under way while the others filled the queue.
    assert.ok(harness.counters.queue_full >= 340 && harness.counters.queue_full <= 350);
    assert.equal(harness.counters.spans_accepted, 400 - harness.counters.queue_full);
    const names = new Set(receiver.spans.map(({ span }) => span.name.slice(0, 10)));
    for (const newest of [36, 37, 38, 39])
      assert.ok(names.has(`request ${newest}`), `the newest are kept: ${[...names]}`);
  });

  test(`${protocol}: what is left at the end of a flush is counted, even if the backend hangs`, async (t) => {
    const receiver = await startReceiver({ protocol, otherwise: { type: 'hang' } });
    t.after(() => receiver.close());
    const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, timeoutMs: 60_000 });
    for (let index = 0; index < 10; index += 1) await harness.give(exportRequest(10), 10);
    await receiver.waitFor(({ requests }) => requests.length === 4);
    assert.equal(harness.exporter.inFlightSpans, 40);
    assert.equal(harness.exporter.queuedSpans, 60);
    await harness.end(50);
    assert.equal(harness.counters.shutdown, 100);
    await harness.give(exportRequest(10), 10);
    assert.equal(harness.counters.shutdown, 110, 'nothing is taken after a stop');
  });

  test(`${protocol}: a stop in the middle of a long backoff sends all that waits when the backend is back`, async (t) => {
    const port = await freePort();
    const harness = new ExportHarness({
      protocol,
      endpoint: `http://127.0.0.1:${port}`,
      // As after a minute without a backend: the next try is further away than the stop waits.
      backoff: { firstMs: 60_000, maxMs: 60_000 },
    });
    for (let index = 0; index < 20; index += 1) await harness.give(exportRequest(10), 10);
    while (harness.log.length === 0 || harness.exporter.inFlightSpans > 0) await new Promise(setImmediate);
    const receiver = await startReceiver({ protocol, port });
    t.after(() => receiver.close());
    await harness.end();
    assert.equal(harness.counters.spans_accepted, 200);
    assert.equal(receiver.spanCount, 200);
  });

  // The limit is far below the deadline of the stop.
  const limit = { timeout: 30_000 };
  test(
    `${protocol}: a stop neither sends before the moment that the backend asked for, nor waits where that is after its deadline`,
    limit,
    async (t) => {
      const busy: Behaviour =
        protocol === 'grpc'
          ? { type: 'grpc-status', code: 14, retryDelayMs: 60_000 }
          : { type: 'http-status', status: 503, retryAfter: '60' };
      const receiver = await startReceiver({ protocol, behaviours: [busy] });
      t.after(() => receiver.close());
      const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint });
      await harness.give(exportRequest(10), 10);
      while (harness.log.length === 0) await new Promise(setImmediate);
      await harness.end(59_000);
      assert.equal(receiver.requests.length, 1);
      assert.equal(harness.counters.shutdown, 10);
    },
  );

  test(`${protocol}: a flush takes in requests that are still being compressed`, async (t) => {
    const receiver = await startReceiver({ protocol });
    t.after(() => receiver.close());
    const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, compression: 'zstd' });
    const given = Array.from({ length: 8 }, () => harness.give(exportRequest(500, 'big', 500), 500));
    assert.equal(harness.exporter.queuedSpans, 4000);
    harness.assertLaw();
    await harness.end();
    await Promise.all(given);
    assert.equal(harness.counters.spans_accepted, 4000);
    assert.equal(receiver.spans.length, 4000);
  });
}

for (const compression of ['zstd', 'gzip', 'none'] as const) {
  test(`small requests that wait (${compression}) hold little more memory than the queue counts`, async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const harness = new ExportHarness({ protocol: 'http/protobuf', endpoint, compression });
    const request = exportRequest(10);
    const before = await bufferBytes();
    for (let index = 0; index < 1000; index += 1) await harness.give(request, 10);
    const held = (await bufferBytes()) - before;
    const { queuedBytes } = harness.exporter;
    assert.ok(queuedBytes > 100_000, `${queuedBytes} bytes`);
    assert.ok(held < queuedBytes + REST_BYTES, `${held} bytes held for ${queuedBytes}`);
    await harness.end(0);
  });
}

test('a stop counts more waiting requests than a call has room for arguments', async () => {
  const requests = 150_000;
  const backoff = { firstMs: 60_000, maxMs: 60_000 };
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  const harness = new ExportHarness({ protocol: 'http/protobuf', endpoint, queueBytesMax: 0, backoff });
  const request = exportRequest(1);
  for (let index = 0; index < requests; index += 1) await harness.give(request, 1);
  await harness.end(0);
  assert.equal(harness.counters.shutdown, requests);
});

test('a request larger than the whole queue is dropped alone', async () => {
  const harness = new ExportHarness({
    protocol: 'http/protobuf',
    endpoint: `http://127.0.0.1:${await freePort()}`,
    queueBytesMax: 5000,
  });
  await harness.give(exportRequest(10), 10);
  await harness.give(exportRequest(500), 500);
  assert.equal(harness.counters.queue_full, 500);
  await harness.end(0);
  assert.equal(harness.counters.shutdown, 10);
});
