// A proxy between fdspan and the backend that goes and comes back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import {
  eventually,
  hasWarned,
  PROTOCOLS,
  startLoad,
  startTracing,
  tellOutcome,
} from '../helpers/fault-run.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startProxy } from '../helpers/proxy-server.ts';
import { SpanCensus } from '../helpers/span-census.ts';

for (const protocol of PROTOCOLS) {
  test(
    `${protocol}: a proxy that goes and comes back costs no span`,
    { skip: whyNoKernelTests() ?? false },
    async (t) => {
      const census = new SpanCensus();
      const receiver = await startReceiver({ protocol, decode: 'count', watch: census.take });
      t.after(() => receiver.close());
      const proxy = await startProxy();
      t.after(() => proxy.close());
      const load = await startLoad(t);
      const collector = await startTracing(t, load, {
        protocol,
        // Only the proxy knows the host.
        endpoint: `http://backend.fdspan.test:${receiver.port}`,
        prefix: ['env', `HTTP_PROXY=http://127.0.0.1:${proxy.port}`, 'NO_PROXY=', 'HTTPS_PROXY='],
      });
      load.begin();
      await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
      await proxy.close();
      await eventually('the missing proxy', () => hasWarned(collector, /the proxy of HTTP_PROXY/));
      const { length } = receiver.requests;
      const again = await startProxy(null, proxy.port);
      t.after(() => again.close());
      await receiver.waitFor(({ requests }) => requests.length >= length + 2, 60_000);
      const files = await load.end();
      const { counters } = await collector.stop();
      assert.equal(counters.spans_accepted, files);
      tellOutcome(t, 'the proxy is gone for a while', protocol, {
        files,
        counters,
        census,
        allowsDuplicates: true,
      });
    },
  );
}
