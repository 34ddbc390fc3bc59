// A backend that says for minutes that it is unavailable: by grpc with a spool, by http without one. Both at a time, since each
// mostly waits.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { whyNoKernelTests, type Stopped } from '../helpers/collector-process.ts';
import { eventually, startLoad, startTracing, tellOutcome, type Protocol } from '../helpers/fault-run.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { SpanCensus } from '../helpers/span-census.ts';

const SECONDS = Number(process.env.FDSPAN_FAULT_OUTAGE_SECONDS ?? 300);
/** Some 1 MB of spans a second. */
const PACE = { pauseNs: 2_000_000, depth: 10 };
/** The longest wait between two tries, with its jitter, and what was kept to send. */
const RECOVERY_MS = 180_000;

interface Outage {
  readonly files: number;
  readonly stopped: Stopped;
}

async function outage(
  t: TestContext,
  protocol: Protocol,
  set: Readonly<Record<string, string>>,
  isDelivered: (census: SpanCensus, files: number) => boolean,
): Promise<Outage> {
  const census = new SpanCensus();
  const receiver = await startReceiver({
    protocol,
    decode: 'count',
    watch: census.take,
    otherwise: { type: 'http-status', status: 503 },
  });
  t.after(() => receiver.close());
  const load = await startLoad(t, PACE);
  const collector = await startTracing(t, load, { protocol, endpoint: receiver.endpoint, set });
  load.begin();
  await delay(SECONDS * 1000);
  assert.equal(receiver.spanCount, 0);
  const files = await load.end();
  receiver.otherwise = { type: 'accept' };
  const isThere = (): boolean => isDelivered(census, files);
  const missing = await eventually('what was kept', isThere, RECOVERY_MS).catch((error: Error) => error);
  const stopped = await collector.stop();
  if (missing instanceof Error)
    throw new Error(`${census.files.size} of ${files} files: ${JSON.stringify(stopped.counters)}`, {
      cause: missing,
    });
  const { counters } = stopped;
  const keeps = 'export.spool.dir' in set ? '32 MiB of memory and a spool' : '8 MiB of memory, no spool';
  const fault = `503 for ${SECONDS} s, ${keeps}`;
  tellOutcome(t, fault, protocol, { files, counters, census });
  return { files, stopped };
}

test(
  `503 for ${SECONDS} s costs no span with a spool, and without one the oldest, counted`,
  { skip: whyNoKernelTests() ?? false },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'fdspan-faults-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const memory = { 'export.queue.bytes_max': '8MiB' };
    const spool = { 'export.spool.dir': join(folder, 'spool') };
    const outages = await Promise.allSettled([
      // Memory of the default, so that a disk that is slow for a moment drops nothing.
      outage(t, 'grpc', spool, ({ files }, all) => files.size === all),
      outage(t, 'http/protobuf', memory, ({ files }) => files.size > 0),
    ]);
    const [spooled, remembered] = outages.map((each) => {
      if (each.status === 'rejected') throw each.reason;
      return each.value;
    });
    assert.equal(spooled.stopped.counters.spans_accepted, spooled.files);
    const { spans_accepted: accepted, queue_full: dropped } = remembered.stopped.counters;
    assert.equal(accepted + dropped, remembered.files);
    if (SECONDS >= 60) assert.ok(dropped > 0, 'memory alone does not last');
  },
);
