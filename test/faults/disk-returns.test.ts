// Disks that stop taking anything, and take it again: full and emptied, broken and replaced. And one whose power went.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { exportRequest, type ExportHarness } from '../helpers/export-harness.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { mountExt4, mountTmpfs, whyNoPrivateDisk } from '../helpers/private-disk.ts';
import {
  giveRequests,
  numbersOf,
  range,
  segmentFiles,
  SPANS,
  startSpooled,
  tagOf,
  until,
} from '../helpers/spooled.ts';

const skip = whyNoPrivateDisk() ?? false;

async function spooledRun(t: TestContext, dir: string, port: number): Promise<ExportHarness> {
  const harness = await startSpooled(dir, { endpoint: `http://127.0.0.1:${port}`, timeoutMs: 60_000 });
  t.after(() => harness.exporter.close());
  return harness;
}

/** Gives requests until it is so; returns the number of the next one. Where there is no room the oldest go. */
async function giveUntil(harness: ExportHarness, from: number, isSo: () => boolean): Promise<number> {
  let index = from;
  for (; !isSo(); index += 1) {
    await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
    harness.assertLaw();
    await new Promise(setImmediate);
  }
  return index;
}

/** Starts a backend, and asserts that each span given is there or counted as dropped. */
async function sendAll(t: TestContext, harness: ExportHarness, port: number, given: number): Promise<void> {
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(receiver.spanCount, harness.counters.spans_accepted);
  assert.equal(new Set(numbersOf(receiver)).size * SPANS, receiver.spanCount);
  const { spans_accepted, queue_full, spool_damaged } = harness.counters;
  assert.equal(spans_accepted + queue_full + spool_damaged, given * SPANS);
}

test('a full disk is used again once there is room', { skip }, async (t) => {
  const disk = await mountTmpfs(t, 512 * 1024);
  await disk.run('dd if=/dev/zero of="$disk/others" bs=1k count=448 2>/dev/null');
  const port = await freePort();
  const dir = `${disk.path}/spool`;
  const harness = await spooledRun(t, dir, port);
  const isFull = (): boolean => harness.warnings(/can not be written/).length > 0;
  let given = await giveUntil(harness, 0, isFull);
  const { spans } = harness.exporter.spool!.waiting;
  given = await giveUntil(harness, given, () => harness.counters.queue_full > 0);
  assert.equal(harness.exporter.spool!.waiting.spans, spans);
  await disk.run('rm "$disk/others"');
  given = await giveUntil(harness, given, () => harness.exporter.spool!.waiting.spans > spans);
  await sendAll(t, harness, port, given);
  assert.equal(harness.counters.spool_damaged, 0);
  assert.deepEqual(segmentFiles(dir), []);
});

test(
  'a disk that broke is used again once another is in its place, and what it held is counted',
  { skip },
  async (t) => {
    const disk = await mountExt4(t, 32 << 20);
    const port = await freePort();
    const harness = await spooledRun(t, `${disk.path}/spool`, port);
    let given = await giveUntil(harness, 0, () => harness.exporter.spool!.waiting.spans > 1000);
    await disk.run('mount -o remount,abort "$disk"');
    given = await giveUntil(harness, given, () => harness.warnings(/can not be written/).length > 0);
    assert.match(JSON.stringify(harness.warnings(/can not be written/)), /EROFS/);
    await disk.run('umount --lazy "$disk" && mount -t tmpfs tmpfs "$disk"');
    given = await giveUntil(harness, given, () => disk.holds('spool', '.spool'));
    await sendAll(t, harness, port, given);
  },
);

test('what a stop put on the disk survives a power cut right behind it', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const first = await spooledRun(t, `${disk.path}/spool`, await freePort());
  await giveRequests(first, 0, 300);
  await first.end(0);
  assert.equal(first.exporter.spool!.waiting.spans, 300 * SPANS);
  // What the device has by now, and nothing of what the kernel would still write.
  await disk.run('cp "$image" "$image.cut" && mkdir "$disk.cut" && mount -o loop "$image.cut" "$disk.cut"');
  const port = await freePort();
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  const second = await spooledRun(t, `${disk.path}.cut/spool`, port);
  await until(() => second.isDrained);
  await second.end();
  assert.equal(second.counters.spool_recovered, 300 * SPANS);
  assert.deepEqual(new Set(numbersOf(receiver)), new Set(range(0, 300)));
});

test(
  'a power cut while requests are written leaves a spool that is whole or counted',
  { skip },
  async (t) => {
    const disk = await mountExt4(t, 32 << 20);
    const first = await spooledRun(t, `${disk.path}/spool`, await freePort());
    const cuts = range(0, 10).map((cut) => `${disk.path}.${cut}`);
    let given = 0;
    for (const [cut] of cuts.entries()) {
      const copied = disk.run(`cp "$image" "$image.${cut}"`).then(() => true);
      let isCopied = false;
      void copied.then(() => (isCopied = true));
      given = await giveUntil(first, given, () => isCopied);
      await copied;
    }
    await first.end(0);
    for (const [cut, path] of cuts.entries()) {
      // The copy took a while, as writes that come in any order: the check repairs what a journal can't.
      await disk.run(
        `e2fsck -fy "$image.${cut}" >/dev/null; mkdir "$disk.${cut}" && mount -o loop "$image.${cut}" "$disk.${cut}"`,
      );
      const receiver = await startReceiver({ protocol: 'http/protobuf' });
      t.after(() => receiver.close());
      const second = await spooledRun(t, `${path}/spool`, receiver.port);
      await until(() => second.isDrained);
      await second.end();
      const { spool_recovered, spans_accepted, spool_damaged } = second.counters;
      assert.equal(spans_accepted + spool_damaged, spool_recovered);
      assert.equal(receiver.spanCount, spans_accepted);
      for (const number of new Set(numbersOf(receiver))) assert.ok(number < given);
      t.diagnostic(`cut ${cut}: ${spool_recovered} spans found, ${spool_damaged} damaged`);
    }
  },
);

test('a process that has no descriptor left reads its spool when it has', { skip }, async (t) => {
  const disk = await mountTmpfs(t, 4 << 20);
  const dir = `${disk.path}/spool`;
  // Files of some ten requests each.
  const first = await startSpooled(dir, {
    endpoint: `http://127.0.0.1:${await freePort()}`,
    spoolBytesMax: 40_000,
  });
  t.after(() => first.exporter.close());
  await giveRequests(first, 0, 80);
  await first.end(0);
  const { spans } = first.exporter.spool!.waiting;
  const receiver = await startReceiver({
    protocol: 'http/protobuf',
    otherwise: { type: 'http-status', status: 503 },
  });
  t.after(() => receiver.close());
  const second = await spooledRun(t, dir, receiver.port);
  await receiver.waitFor(({ requests }) => requests.length > 0);
  const limit = (soft: number | string): Promise<string> =>
    disk.run(`prlimit --pid ${process.pid} --nofile=${soft}:`);
  const before = /Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))![1];
  // No new one, whatever numbers are free; those that are open stay.
  await limit(0);
  receiver.otherwise = { type: 'accept' };
  await until(() => second.warnings(/can not be read now/).length > 0);
  await limit(before);
  await until(() => second.isDrained);
  await second.end();
  assert.equal(second.counters.spool_recovered, spans);
  assert.equal(second.counters.spans_accepted, spans);
  assert.equal(receiver.spanCount, spans);
});
