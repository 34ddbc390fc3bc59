// What an earlier run left is neither deleted nor forgotten before it was counted: at a stop in the middle, where a file can't
// be read, and where the disk is slow.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { lockFile } from '../../src/bpf/libc.ts';
import { Spool } from '../../src/export/spool/spool.ts';
import { freePort } from '../helpers/free-port.ts';
import { holdThreads } from '../helpers/held-threads.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { mountExt4, whyNoPrivateDisk } from '../helpers/private-disk.ts';
import {
  fillSpool,
  giveRequests,
  numbersOf,
  range,
  segmentFiles,
  spoolFolder,
  startSpooled,
  UNHEARD,
  until,
} from '../helpers/spooled.ts';

const skip = whyNoPrivateDisk() ?? false;
const REQUESTS = 40;
/** So many that files hold some requests each. */
const BYTES_MAX = 100_000;

/** Starts on the folder, and asserts that each request comes once. */
async function assertAllComes(t: TestContext, dir: string): Promise<void> {
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const harness = await startSpooled(dir, { endpoint: receiver.endpoint, timeoutMs: 60_000 });
  await until(() => harness.isDrained);
  await harness.end();
  const sorted = numbersOf(receiver).sort((one, other) => one - other);
  assert.deepEqual(sorted, range(0, REQUESTS));
}

test('a stop while an earlier run is counted leaves what is not yet read to the next start', async (t) => {
  const dir = spoolFolder(t);
  await fillSpool(dir, REQUESTS, { bytesMax: 20_000 });
  const files = segmentFiles(dir);
  assert.ok(files.length > 3, `${files.length} files`);
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
  await harness.end(0);
  assert.ok(harness.counters.spool_recovered < REQUESTS * 10, 'stopped in the middle');
  assert.deepEqual(segmentFiles(dir), files);
  await assertAllComes(t, dir);
});

test('a file that can not be read stays for the next start, told in the log', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const dir = join(disk.path, 'spool');
  await fillSpool(dir, REQUESTS, { before: 10, bytesMax: BYTES_MAX });
  const files = segmentFiles(dir);
  const [name] = files[0].split('/').slice(-1);
  // It can't be opened for writing.
  await disk.run(`chattr +i "$disk/spool/${name}"`);
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const harness = await startSpooled(dir, { endpoint: receiver.endpoint });
  await until(() => harness.isDrained);
  await harness.end();
  assert.deepEqual(segmentFiles(dir), [files[0]]);
  assert.equal(harness.counters.spool_recovered, (REQUESTS - 10) * 10);
  assert.match(JSON.stringify(harness.warnings(/stays for the next start/)), /EPERM/);
  await disk.run(`chattr -i "$disk/spool/${name}"`);
  const next = await startSpooled(dir, { endpoint: receiver.endpoint });
  await until(() => next.isDrained);
  await next.end();
  assert.equal(receiver.spanCount, REQUESTS * 10);
  assert.deepEqual(segmentFiles(dir), []);
});

test('a folder whose listing takes longer than a start waits is counted when it ends, and each file once', async (t) => {
  const dir = spoolFolder(t);
  await fillSpool(dir, REQUESTS);
  // Each is looked at: the listing is under way when the threads are taken.
  for (const index of range(1, 100))
    writeFileSync(join(dir, `9${String(index).padStart(7, '0')}-0badcafe.spool`), '');
  writeFileSync(join(dir, 'lock'), '');
  const opening = startSpooled(dir, {
    endpoint: `http://127.0.0.1:${await freePort()}`,
    openMs: 500,
  });
  await until(() => readFileSync(join(dir, 'lock'), 'utf8').endsWith('\n'));
  const release = holdThreads(t);
  const harness = await opening;
  assert.equal(harness.warnings(/no answer|can not be used/).length, 1);
  const given = giveRequests(harness, REQUESTS, REQUESTS + 100);
  await release();
  await given;
  await until(() => harness.exporter.spool!.waiting.spans > REQUESTS * 10);
  assert.equal(harness.counters.spool_recovered, REQUESTS * 10);
  await harness.end(0);
  assert.equal(harness.exporter.spool!.waiting.spans + harness.counters.shutdown, (REQUESTS + 100) * 10);
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const next = await startSpooled(dir, { endpoint: receiver.endpoint, timeoutMs: 60_000 });
  await until(() => next.isDrained);
  await next.end();
  assert.equal(next.counters.spool_recovered, harness.exporter.spool!.waiting.spans);
  assert.equal(new Set(numbersOf(receiver)).size * 10, receiver.spanCount, 'nothing comes twice');
});

test('a disk that does not close the lock holds no stop', { timeout: 20_000 }, async (t) => {
  const dir = spoolFolder(t);
  const spool = await Spool.open({ dir, bytesMax: BYTES_MAX }, lockFile);
  spool.begin(UNHEARD);
  const release = holdThreads(t);
  await spool.close(50);
  await release();
});
