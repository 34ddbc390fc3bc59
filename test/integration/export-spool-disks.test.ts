// Disks that are full, read-only or broken, as real file systems of the test's own.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { test, type TestContext } from 'node:test';
import { lockFile } from '../../src/bpf/libc.ts';
import { Spool } from '../../src/export/spool/spool.ts';
import { exportRequest, type ExportHarness } from '../helpers/export-harness.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { mountExt4, mountTmpfs, whyNoPrivateDisk } from '../helpers/private-disk.ts';
import {
  fillSpool,
  giveRequests,
  range,
  segmentFiles,
  SPANS,
  startSpooled,
  tagOf,
  UNHEARD,
  until,
} from '../helpers/spooled.ts';

const skip = whyNoPrivateDisk() ?? false;
const QUEUE_BYTES = 40_000;

/** Gives requests as they come, whether there is room for them or not. */
async function flood(harness: ExportHarness, from: number, to: number): Promise<void> {
  for (const index of range(from, to)) {
    await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
    assert.ok(harness.exporter.queuedBytes <= QUEUE_BYTES, 'memory keeps its bound');
  }
  harness.assertLaw();
}

/** Gives requests until the disk takes no more; returns how many. */
async function fill(harness: ExportHarness): Promise<number> {
  const isFull = (): boolean => harness.warnings(/the spool: requests can not be written/).length > 0;
  for (let index = 0; ; index += 1) {
    if (isFull()) return index;
    await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
    await until(() => harness.exporter.hasRoom || isFull());
  }
}

async function receiverAt(t: TestContext, port: number): Promise<OtlpReceiver> {
  const receiver = await startReceiver({ protocol: 'http/protobuf', port });
  t.after(() => receiver.close());
  return receiver;
}

async function spooledRun(
  t: TestContext,
  dir: string,
  port: number,
  spoolBytesMax = 64 << 20,
): Promise<ExportHarness> {
  const endpoint = `http://127.0.0.1:${port}`;
  const harness = await startSpooled(dir, { endpoint, queueBytesMax: QUEUE_BYTES, spoolBytesMax });
  t.after(() => harness.exporter.close());
  return harness;
}

test('a full disk costs what comes then, and nothing that it holds', { skip }, async (t) => {
  const disk = await mountTmpfs(t, 64 * 1024);
  const port = await freePort();
  const harness = await spooledRun(t, `${disk.path}/spool`, port);
  const given = await fill(harness);
  const { message, fields } = harness.warnings(/the spool/)[0];
  assert.match(
    `${message} ${String(fields.reason)} ${String(fields.cure)}`,
    /can not be written .*ENOSPC.* free space on the disk/,
  );
  const onDisk = harness.exporter.spool!.waiting.spans;
  assert.ok(onDisk > 0);
  await flood(harness, given, given + 400);
  assert.ok(harness.counters.queue_full > 0);
  assert.equal(harness.exporter.spool!.waiting.spans, onDisk, 'goes on as without a spool');
  const receiver = await receiverAt(t, port);
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(receiver.spanCount, harness.counters.spans_accepted);
  assert.equal(harness.counters.spans_accepted + harness.counters.queue_full, (given + 400) * SPANS);
  assert.deepEqual(segmentFiles(`${disk.path}/spool`), []);
});

test('what a full disk holds is sent by the next start', { skip }, async (t) => {
  const disk = await mountTmpfs(t, 64 * 1024);
  const dir = `${disk.path}/spool`;
  const first = await spooledRun(t, dir, await freePort());
  const given = await fill(first);
  await first.end(0);
  const left = first.exporter.spool!.waiting.spans;
  assert.equal(first.counters.queue_full + first.counters.shutdown + left, given * SPANS);
  await disk.run(
    'dd if=/dev/zero of="$disk/rest" bs=1k 2>/dev/null; test -s "$disk/rest" || df "$disk" | grep 100%',
  );
  const port = await freePort();
  const receiver = await receiverAt(t, port);
  const second = await spooledRun(t, dir, port);
  await until(() => second.isDrained);
  await second.end();
  assert.equal(second.counters.spool_recovered, left);
  assert.equal(receiver.spanCount, left);
});

test('a stop on a full disk counts as lost only what the disk does not hold', { skip }, async (t) => {
  const disk = await mountTmpfs(t, 64 * 1024);
  const dir = `${disk.path}/spool`;
  const port = await freePort();
  const first = await spooledRun(t, dir, port);
  const given = await fill(first);
  await disk.run('dd if=/dev/zero of="$disk/rest" bs=1k 2>/dev/null; df "$disk" | grep 100%');
  const onDisk = first.exporter.spool!.waiting.spans;
  // The backend takes so much of what is in memory that the disk is read, and then no more.
  const bytes = exportRequest(SPANS, tagOf(0)).length;
  const kept = Math.floor((QUEUE_BYTES * 3) / 8 / bytes) - 2;
  await until(() => first.exporter.inFlightSpans === 0);
  const taken = Math.round(first.exporter.queuedBytes / bytes) - kept;
  const receiver = await receiverAt(t, port);
  receiver.behave(...range(0, taken).map(() => ({ type: 'accept' }) as const));
  receiver.otherwise = { type: 'http-status', status: 503 };
  await until(() => first.exporter.spool!.waiting.spans < onDisk);
  await first.end(0);
  const left = first.exporter.spool!.waiting.spans;
  assert.equal(left, onDisk, 'what was read of the disk waits there again');
  assert.ok(first.counters.shutdown > 0, 'memory had requests that the disk did not take');
  receiver.otherwise = { type: 'accept' };
  const second = await spooledRun(t, dir, port);
  await until(() => second.isDrained && second.counters.spool_recovered > 0);
  await second.end();
  assert.equal(second.counters.spool_recovered, left);
  const { spans_accepted, queue_full, shutdown } = first.counters;
  assert.equal(receiver.spanCount + queue_full + shutdown, given * SPANS);
  assert.equal(receiver.spanCount, spans_accepted + second.counters.spans_accepted);
});

test('a disk that is read-only at the start is told with its cure, and spans go on', { skip }, async (t) => {
  const disk = await mountTmpfs(t, 1 << 20);
  await disk.run('mkdir "$disk/spool" && mount -o remount,ro "$disk"');
  const port = await freePort();
  const harness = await spooledRun(t, `${disk.path}/spool`, port);
  assert.match(JSON.stringify(harness.warnings(/the spool can not be used/)), /EROFS.*writable/);
  await flood(harness, 0, 200);
  assert.ok(harness.counters.queue_full > 0);
  await receiverAt(t, port);
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(harness.counters.spans_accepted + harness.counters.queue_full, 2000);
});

test(
  'a disk that turns read-only keeps what it holds, and full of it gives nothing up',
  { skip },
  async (t) => {
    const disk = await mountExt4(t, 32 << 20);
    const dir = `${disk.path}/spool`;
    const port = await freePort();
    const harness = await spooledRun(t, dir, port, 20_000);
    await giveRequests(harness, 0, 400);
    await until(() => harness.exporter.queuedBytes <= QUEUE_BYTES * 0.75);
    const { queue_full } = harness.counters;
    assert.ok(queue_full > 0, 'the spool is full');
    // What ext4 does by itself after an error of the disk.
    await disk.run('mount -o remount,abort "$disk"');
    // Only now: until then the last request may have been on its way.
    const onDisk = harness.exporter.spool!.waiting.spans;
    await harness.give(exportRequest(SPANS, tagOf(400)), SPANS);
    await until(() => harness.warnings(/can not be written/).length > 0);
    assert.match(JSON.stringify(harness.warnings(/can not be written/)), /EROFS.*mount the disk/);
    harness.assertLaw();
    assert.equal(harness.exporter.spool!.waiting.spans, onDisk);
    const receiver = await receiverAt(t, port);
    await until(() => harness.isDrained);
    await harness.end();
    assert.equal(receiver.spanCount, harness.counters.spans_accepted);
    assert.equal(harness.counters.spans_accepted + harness.counters.queue_full, 4010);
    assert.equal(harness.warnings(/can not be marked/).length, 1);
  },
);

test('a disk that can not be read costs what it held, counted', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const dir = `${disk.path}/spool`;
  const first = await spooledRun(t, dir, await freePort());
  await giveRequests(first, 0, 100);
  await first.end(0);
  assert.equal(first.exporter.spool!.waiting.spans, 1000);
  const port = await freePort();
  const second = await spooledRun(t, dir, port);
  await until(() => second.counters.spool_recovered === 1000);
  // The device ends before the data begins: reads from there on fail with EIO.
  await disk.run(
    'device=$(findmnt -n -o SOURCE "$disk") && truncate -s 64k "$image" && losetup --set-capacity "$device"',
  );
  await disk.run(
    'for file in "$disk"/spool/*.spool; do dd if="$file" iflag=nocache count=0 2>/dev/null; done',
  );
  await disk.run('! cat "$disk"/spool/*.spool >/dev/null');
  const receiver = await receiverAt(t, port);
  await until(() => second.isDrained);
  await second.end();
  const { spans_accepted, spool_damaged } = second.counters;
  assert.equal(spans_accepted + spool_damaged, 1000);
  assert.equal(receiver.spanCount, spans_accepted);
  assert.ok(spool_damaged > 0);
  assert.match(JSON.stringify(second.warnings(/can not be read/)), /EIO/);
});

test('a folder where none can be made is told at once, and spans go on', async (t) => {
  const port = await freePort();
  const harness = await spooledRun(t, '/proc/fdspan/there/is/none', port);
  const [{ fields }] = harness.warnings(/the spool can not be used/);
  assert.match(String(fields.reason), /ENOENT.*mkdir '\/proc\/fdspan/);
  await flood(harness, 0, 200);
  await receiverAt(t, port);
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(harness.counters.spans_accepted + harness.counters.queue_full, 2000);
});

test('a file that can not be deleted is deleted once it can be', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const dir = `${disk.path}/spool`;
  const port = await freePort();
  const harness = await spooledRun(t, dir, port);
  await giveRequests(harness, 0, 60);
  await until(() => harness.exporter.spool!.waiting.spans > 0);
  const [first] = segmentFiles(dir);
  await disk.run('chattr +a "$disk/spool"');
  const receiver = await receiverAt(t, port);
  await until(() => harness.isDrained && harness.warnings(/can not be deleted/).length > 0);
  await receiver.close();
  assert.deepEqual(segmentFiles(dir), [first]);
  await disk.run('chattr -a "$disk/spool"');
  await giveRequests(harness, 60, 120);
  await until(() => harness.exporter.spool!.waiting.spans > 0);
  assert.ok(!segmentFiles(dir).includes(first));
  await receiverAt(t, port);
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(harness.counters.spans_accepted, 1200);
  assert.deepEqual(segmentFiles(dir), []);
});

/** The name of a file, as the shell of its disk has it. */
function inShell(file: string): string {
  return `"$disk/spool/${basename(file)}"`;
}

test('one file that can not be deleted keeps its room, and the spool goes on', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const dir = `${disk.path}/spool`;
  const port = await freePort();
  const harness = await spooledRun(t, dir, port);
  await giveRequests(harness, 0, 60);
  await until(() => harness.exporter.spool!.waiting.spans > 0);
  const [first] = segmentFiles(dir);
  // What has it open may still write to it.
  await disk.run(`chattr +a ${inShell(first)}`);
  const receiver = await receiverAt(t, port);
  await until(() => harness.isDrained && harness.warnings(/can not be deleted/).length > 0);
  await receiver.close();
  await giveRequests(harness, 60, 120);
  await until(() => harness.exporter.spool!.waiting.spans > 0 && harness.exporter.queuedBytes <= 30_000);
  assert.deepEqual(harness.warnings(/can not be written/), []);
  const onDisk = segmentFiles(dir).reduce((sum, file) => sum + statSync(file).size, 0);
  assert.equal(harness.exporter.spool!.bytes, onDisk);
  await disk.run(`chattr -a ${inShell(first)}`);
  await receiverAt(t, port);
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(harness.counters.spans_accepted, 1200);
});

test('a full spool whose oldest file can not be opened makes room by the next one', { skip }, async (t) => {
  const disk = await mountExt4(t, 32 << 20);
  const dir = `${disk.path}/spool`;
  await fillSpool(dir, 40, { bytesMax: 20_000 });
  const [first, second] = segmentFiles(dir);
  const port = await freePort();
  const harness = await spooledRun(t, dir, port, 20_000);
  await until(() => harness.counters.spool_recovered === 400 && harness.exporter.queuedBytes > 0);
  await disk.run(`chattr +i ${inShell(first)}`);
  await giveRequests(harness, 40, 200);
  await until(() => harness.exporter.queuedBytes <= 30_000);
  assert.equal(harness.warnings(/can not be written/).length, 0);
  assert.ok(segmentFiles(dir).includes(first));
  assert.ok(!segmentFiles(dir).includes(second));
  assert.ok(harness.exporter.spool!.bytes <= 20_000);
  await disk.run(`chattr -i ${inShell(first)}`);
  const receiver = await receiverAt(t, port);
  await until(() => harness.isDrained);
  await harness.end();
  assert.equal(receiver.spanCount, harness.counters.spans_accepted);
});

test(
  'what was sent while the disk was read-only for a time is marked once it can be',
  { skip },
  async (t) => {
    const disk = await mountTmpfs(t, 4 << 20);
    const dir = `${disk.path}/spool`;
    await fillSpool(dir, 3);
    const troubles: string[] = [];
    let recovered = 0;
    const open = async (): Promise<Spool> => {
      const spool = await Spool.open({ dir, bytesMax: 1 << 20 }, lockFile);
      const listener = {
        ...UNHEARD,
        recovered: ({ spans }: { spans: number }) => void (recovered += spans),
        trouble: (what: string) => void troubles.push(what),
      };
      spool.begin(listener);
      await until(() => !spool.isRecovering);
      return spool;
    };
    const spool = await open();
    // A mount over the folder: what is open below it stays so.
    await disk.run('mount --bind "$disk/spool" "$disk/spool" && mount -o remount,bind,ro "$disk/spool"');
    const first = await spool.load();
    const second = await spool.load();
    spool.done(first!.stored);
    await until(() => troubles.length > 0);
    await disk.run('mount -o remount,bind,rw "$disk/spool"');
    spool.done(second!.stored);
    await spool.close(10_000);
    assert.deepEqual(
      troubles.map((what) => /can not be marked/.test(what)),
      [true],
    );
    recovered = 0;
    const next = await open();
    await next.close(10_000);
    assert.equal(recovered, 2 * SPANS, 'all but the second');
  },
);
