// fdspan killed with -9 at random moments, with a spool, while a workload opens files and the backend comes and goes: what the
// spool held at each kill, read by the test's own reader, arrives.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { addRow, dropsOf, eventually, PROTOCOLS, startLoad } from '../helpers/fault-run.ts';
import { startReceiver, type Behaviour } from '../helpers/otlp-receiver.ts';
import { SpanCensus, type CountedSpan } from '../helpers/span-census.ts';
import { readSpool, spoolBytes, type StoredSpans } from '../helpers/spool-reader.ts';

const KILLS = Number(process.env.FDSPAN_FAULT_KILLS ?? 50);
/** Each so many rounds fdspan is stopped in order, and its summary looked at. */
const STOP_EVERY = 10;
/** Each so many kills come at a moment of the start, the others when it sends and spools. */
const AT_START_EVERY = 4;
const LIFE_MS_MAX = 2000;
/** Memory of 8 MiB holds less than a second of this load. */
const SETTINGS = {
  'export.queue.bytes_max': '8MiB',
  'export.timeout': '500ms',
  'limits.stop_deadline': '1s',
};
const DOWN: Behaviour = { type: 'http-status', status: 503 };
const MOODS: readonly Behaviour[] = [
  DOWN,
  { type: 'accept' },
  { type: 'slow', pauseMs: 20 },
  { type: 'accept-and-hang' },
  { type: 'hang' },
];
/** Some 10 MB of spans a second. */
const PACE = { pauseNs: 150_000, depth: 10 };

for (const protocol of PROTOCOLS) {
  test(
    `${protocol}: fdspan killed with -9 at ${KILLS} random moments loses nothing that was spilled`,
    { skip: whyNoKernelTests() ?? false },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'fdspan-faults-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const dir = join(folder, 'spool');
      const census = new SpanCensus();
      const receiver = await startReceiver({ protocol, decode: 'count', watch: census.take });
      t.after(() => receiver.close());
      const load = await startLoad(t, PACE);
      let child: ChildProcess | undefined;
      const options = {
        endpoint: receiver.endpoint,
        protocol,
        containerIds: [load.containerId],
        set: { ...SETTINGS, 'export.spool.dir': dir },
        spawned: (spawned: ChildProcess) => (child = spawned),
      };
      t.after(() => child?.kill('SIGKILL'));
      load.begin();

      const spilled = new Map<string, CountedSpan>();
      const look = (): StoredSpans => {
        const stored = readSpool(dir);
        for (const span of [...stored.waiting, ...stored.done]) spilled.set(span.id, span);
        return stored;
      };
      const stop = async (collector: Collector, { told, torn }: StoredSpans): Promise<void> => {
        const { counters } = await collector.stop();
        assert.equal(counters.spool_recovered, told, 'all that was on the disk is found');
        assert.deepEqual(dropsOf(counters), torn === 0 ? {} : { spool_damaged: torn });
      };

      let killsBeforeReady = 0;
      let found = look();
      for (let kills = 0, round = 1; kills < KILLS; round += 1) {
        const isEmpty = found.waiting.length === 0;
        receiver.otherwise = isEmpty ? DOWN : MOODS[randomInt(MOODS.length)];
        if (round % STOP_EVERY === 0) {
          await stop(await startCollector(options), found);
          found = look();
          continue;
        }
        const starting = startCollector(options).catch(() => null);
        await eventually('the process', () => child !== undefined);
        const exited = once(child!, 'close');
        if (isEmpty || kills % AT_START_EVERY !== 0) await starting;
        if (isEmpty) await eventually('something to be spilled', () => spoolBytes(dir) > 0);
        await delay(randomInt(LIFE_MS_MAX));
        child!.kill('SIGKILL');
        await exited;
        if ((await starting) === null) killsBeforeReady += 1;
        child = undefined;
        kills += 1;
        found = look();
      }

      receiver.otherwise = { type: 'accept' };
      const last = await startCollector(options);
      const files = await load.end();
      await eventually('all that was spilled', () => [...spilled.values()].every((span) => census.has(span)));
      await stop(last, found);
      assert.deepEqual(readSpool(dir).waiting, [], 'nothing is left');
      const missing = [...spilled.values()].filter((span) => !census.has(span));
      assert.deepEqual(missing, []);
      assert.ok(spilled.size > 0, 'something was spilled');
      assert.deepEqual(census.doubled, [], 'no file has two spans, but where it was open at a stop');
      addRow(t, {
        fault: `killed with -9, ${KILLS} times (${killsBeforeReady} before it was ready)`,
        protocol,
        files,
        encoded: null,
        accepted: null,
        dropped: {},
        retried: null,
        received: census.files.size,
        duplicates: census.duplicates,
        remarks: `${spilled.size.toLocaleString('en')} spans seen on the disk at the kills, all received`,
      });
    },
  );
}
