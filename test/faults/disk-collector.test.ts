// A whole collector whose backend is down, and whose spool's disk is full, hangs, or loses its folder.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import {
  eventually,
  hasWarned,
  PROTOCOLS,
  startLoad,
  startTracing,
  tellOutcome,
  type Protocol,
} from '../helpers/fault-run.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { mountExt4, mountTmpfs, whyNoPrivateDisk, type PrivateDisk } from '../helpers/private-disk.ts';
import { SpanCensus } from '../helpers/span-census.ts';

const skip = whyNoKernelTests() ?? whyNoPrivateDisk() ?? false;
/** Some 10 MB of spans a second, of which memory holds less than one. */
const PACE = { pauseNs: 150_000, depth: 10 };
const SETTINGS = { 'export.queue.bytes_max': '8MiB', 'limits.stop_deadline': '5s' };

interface Fault {
  readonly name: string;
  readonly protocol: Protocol;
  readonly disk: PrivateDisk;
  /** Makes it happen, while the backend is down. */
  readonly begin: (collector: Collector) => Promise<void>;
  /** Ends it, while the backend works. */
  readonly end?: () => Promise<void>;
}

async function run(t: TestContext, { name, protocol, disk, begin, end }: Fault): Promise<void> {
  const census = new SpanCensus();
  const receiver = await startReceiver({
    protocol,
    otherwise: { type: 'http-status', status: 503 },
    decode: 'count',
    watch: census.take,
  });
  t.after(() => receiver.close());
  const load = await startLoad(t, PACE);
  const set = { ...SETTINGS, 'export.spool.dir': `${disk.path}/spool` };
  const collector = await startTracing(t, load, { endpoint: receiver.endpoint, protocol, set });
  load.begin();
  await begin(collector);
  const { size } = census.files;
  receiver.otherwise = { type: 'accept' };
  await eventually('spans go on', () => census.files.size > size + 10_000);
  await end?.();
  const files = await load.end();
  const { counters } = await collector.stop();
  tellOutcome(t, name, protocol, {
    files,
    counters,
    census,
    remarks: `${counters.spooled} left on the disk`,
  });
}

for (const protocol of PROTOCOLS) {
  test(`${protocol}: a full disk costs what comes then, counted, and fdspan goes on`, { skip }, async (t) => {
    const disk = await mountTmpfs(t, 256 * 1024);
    const begin = (collector: Collector): Promise<void> =>
      eventually(
        'the disk is full',
        () => hasWarned(collector, /ENOSPC/) && hasWarned(collector, /queue_full/),
      );
    await run(t, { name: 'the disk of the spool is full', protocol, disk, begin });
  });

  test(
    `${protocol}: a disk that hangs costs what comes then, counted, and fdspan goes on`,
    { skip },
    async (t) => {
      const disk = await mountExt4(t, 256 << 20);
      const begin = async (collector: Collector): Promise<void> => {
        await eventually('the spool is used', () => disk.holds('spool', '.spool'));
        await disk.run('fsfreeze --freeze "$disk"');
        await eventually('the disk hangs', () => hasWarned(collector, /no answer from the disk/));
      };
      const end = async (): Promise<void> => void (await disk.run('fsfreeze --unfreeze "$disk"'));
      await run(t, { name: 'the disk of the spool hangs', protocol, disk, begin, end });
    },
  );
}

test(
  'grpc: a folder that is removed is made again, and what was in it is sent or counted',
  { skip },
  async (t) => {
    const disk = await mountTmpfs(t, 64 << 20);
    const begin = async (collector: Collector): Promise<void> => {
      await eventually('the spool is used', () => disk.holds('spool', '.spool'));
      await disk.run('rm -r "$disk/spool"');
      await eventually('it is noticed', () => hasWarned(collector, /folder was removed/));
      await eventually('the spool is used again', () => disk.holds('spool', '.spool'));
    };
    await run(t, { name: 'the folder of the spool is removed', protocol: 'grpc', disk, begin });
    assert.ok(disk.holds('spool', 'lock'));
  },
);
