// A backend that is killed and restarted again and again under load: at random moments, in the middle of a request, and
// between taking a request and answering it.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Backend, TakenRequests, type BackendOptions } from '../helpers/backend.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { eventually, PROTOCOLS, startLoad, startTracing, tellOutcome } from '../helpers/fault-run.ts';
import { freePort } from '../helpers/free-port.ts';
import { SpanCensus } from '../helpers/span-census.ts';

const RESTARTS = Number(process.env.FDSPAN_FAULT_RESTARTS ?? 50);
const LIFE_MS_MAX = 400;

for (const protocol of PROTOCOLS) {
  test(
    `${protocol}: a backend killed and restarted ${RESTARTS} times under load has every span at the end`,
    { skip: whyNoKernelTests() ?? false },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'fdspan-faults-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const port = await freePort();
      const load = await startLoad(t);
      const collector = await startTracing(t, load, { protocol, endpoint: `http://127.0.0.1:${port}` });
      const options: BackendOptions = { protocol, port, folder };
      load.begin();
      for (let restart = 0; restart < RESTARTS; restart += 1) {
        if (restart % 3 === 0) {
          const backend = await Backend.start(options);
          await backend.taken();
          await delay(randomInt(LIFE_MS_MAX));
          await backend.kill();
        } else {
          const at = restart % 3 === 1 ? 'in-request' : 'before-answer';
          const backend = await Backend.start({ ...options, death: { at, request: 1 + randomInt(4) } });
          await backend.died();
        }
      }
      const files = await load.end();
      const backend = await Backend.start(options);
      t.after(() => backend.kill());
      const census = new SpanCensus();
      const taken = new TakenRequests(folder);
      const isThere = (): boolean => {
        taken.next(census.take);
        return census.files.size >= files;
      };
      await eventually('every span', isThere);
      const { counters } = await collector.stop();
      taken.next(census.take);
      assert.equal(counters.spans_accepted, files, 'nothing is dropped');
      tellOutcome(t, `backend killed and restarted ${RESTARTS} times`, protocol, {
        files,
        counters,
        census,
        allowsDuplicates: true,
      });
    },
  );
}
