import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockFile } from '../../src/bpf/libc.ts';
import { Spool } from '../../src/export/spool/spool.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import {
  giveRequests,
  numbersOf,
  range,
  segmentFiles,
  spoolFolder,
  startSpooled,
  until,
} from '../helpers/spooled.ts';

test('what memory cannot hold goes to the disk, and all of it arrives in order when the backend comes', async (t) => {
  const dir = spoolFolder(t);
  const port = await freePort();
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${port}`, requestsInFlightMax: 1 });
  await giveRequests(harness, 0, 200);
  await until(() => harness.exporter.spool!.waiting.spans >= 1500);
  harness.assertLaw();
  assert.ok(harness.exporter.queuedBytes <= 40_000, 'memory keeps its bound');
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  for (const file of segmentFiles(dir)) assert.equal(statSync(file).mode & 0o777, 0o600);
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  // Those that were tried while there was no backend wait for a try of their own.
  const { requests_sent: sent, requests_retried: retried } = harness.counters;
  const tried = sent - retried;
  await receiver.waitFor(({ spanCount }) => spanCount === 2000);
  await harness.end();
  assert.equal(harness.counters.spans_accepted, 2000);
  const numbers = numbersOf(receiver);
  const inOrder = numbers.filter((number) => number >= tried);
  assert.ok(tried < 50, `${tried} requests were tried before`);
  assert.deepEqual(inOrder, range(tried, 200));
  assert.equal(new Set(numbers).size, 200);
  assert.deepEqual(segmentFiles(dir), [], 'nothing is left on the disk');
});

test('a stop without a backend puts memory on the disk, and the next start sends all of it in order', async (t) => {
  const dir = spoolFolder(t);
  const port = await freePort();
  const first = await startSpooled(dir, { endpoint: `http://127.0.0.1:${port}` });
  await giveRequests(first, 0, 100);
  await first.end(50);
  assert.equal(first.counters.shutdown, 0);
  assert.equal(first.counters.queue_full, 0);
  assert.equal(first.exporter.spool?.waiting.spans, 1000);
  const second = await startSpooled(dir, { endpoint: `http://127.0.0.1:${port}`, requestsInFlightMax: 1 });
  await giveRequests(second, 100, 150);
  await second.end(50);
  assert.equal(second.counters.spool_recovered, 1000);
  assert.equal(second.exporter.spool?.waiting.spans, 1500);
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  const third = await startSpooled(dir, { endpoint: receiver.endpoint, requestsInFlightMax: 1 });
  await receiver.waitFor(({ spanCount }) => spanCount === 1500);
  await third.end();
  assert.equal(third.counters.spool_recovered, 1500);
  assert.equal(third.counters.spans_accepted, 1500);
  assert.deepEqual(numbersOf(receiver), range(0, 150));
});

test('what was sent from the disk is not sent again by the next start', async (t) => {
  const dir = spoolFolder(t);
  const receiver = await startReceiver({
    protocol: 'http/protobuf',
    otherwise: { type: 'http-status', status: 503 },
  });
  t.after(() => receiver.close());
  const first = await startSpooled(dir, { endpoint: receiver.endpoint });
  await giveRequests(first, 0, 50);
  await first.end(20);
  receiver.otherwise = { type: 'accept' };
  const second = await startSpooled(dir, {
    endpoint: receiver.endpoint,
    requestsInFlightMax: 1,
    timeoutMs: 60_000,
  });
  receiver.behave(...range(0, 20).map(() => ({ type: 'accept' }) as const), { type: 'hang' });
  await receiver.waitFor(({ requests }) => requests.at(-1)?.behaviour === 'hang');
  await second.end(20);
  assert.equal(second.counters.spans_accepted, 200);
  assert.equal(second.exporter.spool?.waiting.spans, 300);
  const third = await startSpooled(dir, { endpoint: receiver.endpoint });
  await receiver.waitFor(({ spanCount }) => spanCount === 500);
  await third.end();
  assert.equal(third.counters.spool_recovered, 300);
  assert.deepEqual(
    numbersOf(receiver).sort((one, other) => one - other),
    range(0, 50),
  );
});

test('a spool is bounded in bytes: its oldest requests go first, and are counted', async (t) => {
  const dir = spoolFolder(t);
  const port = await freePort();
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${port}`, spoolBytesMax: 100_000 });
  await giveRequests(harness, 0, 1500);
  await until(() => harness.exporter.queuedBytes <= 30_000);
  harness.assertLaw();
  assert.ok(harness.counters.queue_full > 0);
  assert.ok(harness.exporter.spool!.bytes <= 100_000);
  const onDisk = segmentFiles(dir).reduce((sum, file) => sum + statSync(file).size, 0);
  assert.ok(onDisk <= 100_000, `${onDisk} bytes of files`);
  assert.equal(harness.warnings(/the spool is full/).length, 1);
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  await until(() => harness.counters.spans_accepted + harness.counters.queue_full === 15_000);
  await harness.end();
  assert.equal(numbersOf(receiver).at(-1), 1499, 'the newest are kept');
});

test('a second process on one spool is refused, told which process has it', async (t) => {
  const dir = spoolFolder(t);
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
  await assert.rejects(
    () => Spool.open({ dir, bytesMax: 1 << 20 }, lockFile),
    (error: Error & { code?: string }) =>
      error.code === 'SPOOL_BUSY' &&
      error.message.includes(`pid ${process.pid}`) &&
      error.message.includes(dir),
  );
  await harness.end(0);
  const next = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
  await next.end(0);
});

test('foreign files, folders and links in the spool are left alone', async (t) => {
  const dir = spoolFolder(t);
  mkdirSync(dir, { mode: 0o700 });
  const secret = join(dir, '..', 'secret');
  writeFileSync(secret, 'untouched');
  writeFileSync(join(dir, 'notes.txt'), 'mine');
  const { symlinkSync } = await import('node:fs');
  symlinkSync(secret, join(dir, '80000000-0badcafe.spool'));
  mkdirSync(join(dir, '80000001-0badcafe.spool'));
  const receiver = await startReceiver({
    protocol: 'http/protobuf',
    otherwise: { type: 'http-status', status: 503 },
  });
  t.after(() => receiver.close());
  const harness = await startSpooled(dir, { endpoint: receiver.endpoint });
  await giveRequests(harness, 0, 30);
  await until(() => harness.exporter.spool!.waiting.spans > 0);
  receiver.otherwise = { type: 'accept' };
  await receiver.waitFor(({ spanCount }) => spanCount === 300);
  await harness.end();
  assert.equal(readFileSync(secret, 'utf8'), 'untouched');
  assert.equal(readFileSync(join(dir, 'notes.txt'), 'utf8'), 'mine');
  assert.equal(segmentFiles(dir).length, 2);
});

test('requests are on the disk compressed, and reach a backend that takes none', async (t) => {
  const dir = spoolFolder(t);
  const receiver = await startReceiver({ protocol: 'grpc', otherwise: { type: 'http-status', status: 503 } });
  t.after(() => receiver.close());
  const harness = await startSpooled(dir, { protocol: 'grpc', endpoint: receiver.endpoint });
  await giveRequests(harness, 0, 100);
  await until(() => harness.exporter.spool!.waiting.spans >= 500);
  const bytes = harness.exporter.spool!.bytes;
  assert.ok(bytes < 60 * 1000, `${bytes} bytes for some 70 requests of more than 1,000`);
  receiver.otherwise = { type: 'accept' };
  await receiver.waitFor(({ spanCount }) => spanCount === 1000);
  await harness.end();
  assert.deepEqual([...new Set(receiver.encodings)], ['identity']);
});
