import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { exportRequest } from '../helpers/export-harness.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import {
  giveRequests,
  numbersOf,
  segmentFiles,
  SPANS,
  spoolFolder,
  startSpooled,
  until,
} from '../helpers/spooled.ts';

/** Leaves 50 requests in the spool and returns its folder. */
async function filledSpool(t: TestContext): Promise<string> {
  const dir = spoolFolder(t);
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
  await giveRequests(harness, 0, 50);
  await harness.end(0);
  assert.equal(harness.exporter.spool?.waiting.spans, 50 * SPANS);
  return dir;
}

/** Sends what the spool holds, and returns the counters. */
async function sendAll(t: TestContext, dir: string): Promise<[Record<string, number>, OtlpReceiver]> {
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  // On a busy machine an answer may come late: a request that was sent twice would come twice.
  const harness = await startSpooled(dir, { endpoint: receiver.endpoint, timeoutMs: 60_000 });
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(new Set(numbersOf(receiver)).size * SPANS, receiver.spanCount, 'nothing comes twice');
  return [harness.counters, receiver];
}

test('one flipped bit costs one request at most, and the law tells which spans', async (t) => {
  for (let turn = 0; turn < 20; turn += 1) {
    const dir = await filledSpool(t);
    const files = segmentFiles(dir);
    const file = files[randomInt(files.length)];
    const bytes = readFileSync(file);
    const at = randomInt(bytes.length);
    bytes[at] ^= 1 << randomInt(8);
    writeFileSync(file, bytes);
    const [counters, receiver] = await sendAll(t, dir);
    assert.equal(counters.spool_recovered, 500, `byte ${at}`);
    assert.equal(counters.spans_accepted + counters.spool_damaged, 500, `byte ${at}`);
    assert.ok(counters.spool_damaged <= SPANS, `byte ${at}: ${counters.spool_damaged}`);
    assert.equal(receiver.spanCount, counters.spans_accepted);
  }
});

test('a file that was cut off anywhere gives what is whole, and counts the torn request', async (t) => {
  for (let turn = 0; turn < 20; turn += 1) {
    const dir = await filledSpool(t);
    const file = segmentFiles(dir)[0];
    truncateSync(file, randomInt(statSync(file).size));
    const [counters, receiver] = await sendAll(t, dir);
    assert.equal(counters.spans_accepted + counters.spool_damaged, counters.spool_recovered);
    assert.ok(counters.spool_damaged <= SPANS);
    assert.equal(receiver.spanCount, counters.spans_accepted);
  }
});

test('a spool of garbage is survived', async (t) => {
  const dir = await filledSpool(t);
  for (const file of segmentFiles(dir)) {
    const size = statSync(file).size;
    writeFileSync(file, Buffer.from(Array.from({ length: size }, () => randomInt(256))));
  }
  const [counters] = await sendAll(t, dir);
  assert.equal(counters.spool_recovered, 0);
});

test('kill -9 in the middle of writing loses nothing that was on the disk', async (t) => {
  for (let turn = 0; turn < 5; turn += 1) {
    const dir = spoolFolder(t);
    const script = new URL('../helpers/spool-writer-process.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, dir, `http://127.0.0.1:${await freePort()}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const killAt = 200 + randomInt(3000);
    let spooled = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      spooled = Number(line.split(' ')[1]);
      if (spooled >= killAt) child.kill('SIGKILL');
    }
    const [counters, receiver] = await sendAll(t, dir);
    assert.ok(counters.spool_recovered >= spooled, `${counters.spool_recovered} of ${spooled}`);
    assert.equal(receiver.spanCount, counters.spans_accepted);
  }
});

test('a folder that is removed while fdspan runs costs what was in it, counted, and is made again', async (t) => {
  const dir = spoolFolder(t);
  const port = await freePort();
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${port}`, spoolBytesMax: 20_000 });
  await giveRequests(harness, 0, 60);
  await until(() => harness.exporter.spool!.waiting.spans > 0);
  rmSync(dir, { recursive: true });
  await giveRequests(harness, 60, 400);
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(receiver.spanCount, harness.counters.spans_accepted);
});

test('a folder that takes no file leaves requests in memory, told with a cure', async (t) => {
  const dir = spoolFolder(t);
  writeFileSync(dir, 'a file in the place of the folder');
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${await freePort()}` });
  for (let index = 0; index < 100; index += 1) await harness.give(exportRequest(SPANS), SPANS);
  await harness.end(0);
  assert.ok(harness.warnings(/the spool/).length > 0);
  assert.ok(harness.counters.queue_full + harness.counters.shutdown === 1000);
});
