// Wrong certificates on either side, until they are renewed.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createCertificates, type CertificateFiles } from '../helpers/certificates.ts';
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
import { SpanCensus } from '../helpers/span-census.ts';

const skip = whyNoKernelTests() ?? false;
const certificates = createCertificates();
after(() => certificates.remove());

function read({ cert, key }: CertificateFiles): { readonly cert: string; readonly key: string } {
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

for (const protocol of PROTOCOLS) {
  test(
    `${protocol}: a backend with another host's certificate gets nothing until it has its own`,
    { skip },
    async (t) => {
      const census = new SpanCensus();
      const options = { protocol, decode: 'count', watch: census.take } as const;
      const impostor = await startReceiver({ ...options, tls: read(certificates.wrongName) });
      t.after(() => impostor.close());
      const load = await startLoad(t);
      const collector = await startTracing(t, load, {
        protocol,
        endpoint: impostor.endpoint,
        set: { 'export.tls.ca': certificates.ca },
      });
      load.begin();
      await eventually('the wrong name', () =>
        hasWarned(collector, /host name that the backend's certificate/),
      );
      const { port, spanCount } = impostor;
      assert.equal(spanCount, 0);
      await impostor.close();
      const receiver = await startReceiver({ ...options, port, tls: read(certificates.server) });
      t.after(() => receiver.close());
      await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
      const files = await load.end();
      const { counters } = await collector.stop();
      assert.equal(counters.spans_accepted, files);
      tellOutcome(t, "the backend's certificate is another host's", protocol, { files, counters, census });
    },
  );

  test(
    `${protocol}: a client certificate of a stranger is refused, and renewed without a restart`,
    { skip },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'fdspan-faults-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      copyFileSync(certificates.strangerCa, cert);
      copyFileSync(join(certificates.folder, 'stranger.key'), key);
      const census = new SpanCensus();
      const receiver = await startReceiver({
        protocol,
        decode: 'count',
        watch: census.take,
        tls: { ...read(certificates.server), ca: readFileSync(certificates.ca, 'utf8') },
      });
      t.after(() => receiver.close());
      const load = await startLoad(t);
      const collector = await startTracing(t, load, {
        protocol,
        endpoint: receiver.endpoint,
        set: { 'export.tls.ca': certificates.ca, 'export.tls.cert': cert, 'export.tls.key': key },
      });
      load.begin();
      await eventually('a refusal', () => hasWarned(collector, /does not take spans/));
      assert.equal(receiver.spanCount, 0);
      copyFileSync(certificates.client.cert, cert);
      copyFileSync(certificates.client.key, key);
      await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
      const files = await load.end();
      const { counters } = await collector.stop();
      assert.equal(counters.spans_accepted, files);
      tellOutcome(t, "fdspan's client certificate is a stranger's", protocol, { files, counters, census });
    },
  );
}
