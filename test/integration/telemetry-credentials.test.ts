// fdspan's own telemetry with the credentials of the spans, over real TLS: what is renewed while it runs, and that nothing
// secret goes out in the clear.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { TracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { containerMetrics } from '../../src/telemetry/container-metrics.ts';
import { createExporters, createResourcesExporter } from '../../src/telemetry/otlp-exporters.ts';
import type { OtlpTargets } from '../../src/telemetry/otlp-target.ts';
import { createCertificates } from '../helpers/certificates.ts';
import { grpcBackend, httpBackend } from '../helpers/metrics-backend.ts';
import { targetsOf } from '../helpers/telemetry-targets.ts';

const certificates = createCertificates();
after(() => certificates.remove());
const tls = {
  cert: readFileSync(certificates.server.cert, 'utf8'),
  key: readFileSync(certificates.server.key, 'utf8'),
};
const BACKENDS = [
  ['grpc', grpcBackend],
  ['http/protobuf', httpBackend],
] as const;
/** Files are looked at once a second. */
const RENEWAL_DEADLINE_MS = 15_000;

const METRICS = containerMetrics(
  { attributes: { 'service.name': 'web' }, startUnixMs: 1, counts: new Float64Array(64), filesOpen: 1 },
  2,
  '1.2.3',
);

interface Senders {
  /** Rejects when the backend doesn't take it. */
  readonly containers: () => Promise<void>;
  readonly own: () => Promise<void>;
  /** The SDK tells of spans that aren't taken by its log only. */
  readonly spans: () => Promise<void>;
}

async function open(t: TestContext, targets: OtlpTargets): Promise<Senders> {
  const containers = await createResourcesExporter(targets.metrics);
  const { metrics, traces } = await createExporters(targets);
  const provider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: traces })],
  });
  t.after(() => Promise.all([containers.shutdown(), metrics.shutdown(), provider.shutdown()]));
  return {
    containers: () => containers.send([containers.encode(METRICS)]),
    own: () =>
      new Promise((resolve, reject) =>
        metrics.export(METRICS, ({ code, error }) => (Number(code) === 0 ? resolve() : reject(error!))),
      ),
    spans: async () => {
      provider.getTracer('t').startSpan('own').end();
      await provider.forceFlush();
    },
  };
}

/** Resolves when it is taken: as soon as the renewed file is looked at. */
async function untilTaken(send: () => Promise<void>): Promise<void> {
  const deadlineMs = performance.now() + RENEWAL_DEADLINE_MS;
  for (;;) {
    try {
      await send();
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-telemetry-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

for (const [protocol, start] of BACKENDS) {
  test(`${protocol}: metrics and spans carry the token of export.headers_file over TLS, also the next one`, async (t) => {
    let token = 'Bearer first';
    const backend = await start({ tls, authorization: () => token });
    t.after(() => backend.close());
    const file = join(folderOf(t), 'headers');
    writeFileSync(file, `# of the backend\nAuthorization: ${token}\n`);
    const senders = await open(
      t,
      targetsOf({
        'export.protocol': protocol,
        'export.endpoint': backend.endpoint,
        'export.tls.ca': certificates.ca,
        'export.headers': '{x-key: k}',
        'export.headers_file': file,
      }),
    );
    await senders.containers();
    await senders.own();
    await senders.spans();
    assert.deepEqual(backend.authorizations, ['Bearer first', 'Bearer first', 'Bearer first']);
    assert.deepEqual([...backend.keys], ['k']);
    assert.equal(backend.metrics.length, 2);
    assert.equal(backend.traces.length, 1);
    token = 'Bearer second';
    await assert.rejects(senders.containers());
    writeFileSync(`${file}.new`, `authorization: ${token}\n`);
    renameSync(`${file}.new`, file);
    await untilTaken(senders.containers);
    await senders.own();
    await senders.spans();
    assert.deepEqual(backend.authorizations.slice(3), ['Bearer second', 'Bearer second', 'Bearer second']);
    assert.equal(backend.traces.length, 2);
  });

  test(`${protocol}: a renewed file of authorities is read without a restart`, async (t) => {
    const backend = await start({ tls });
    t.after(() => backend.close());
    const ca = join(folderOf(t), 'ca.pem');
    copyFileSync(certificates.strangerCa, ca);
    const senders = await open(
      t,
      targetsOf({ 'export.protocol': protocol, 'export.endpoint': backend.endpoint, 'export.tls.ca': ca }),
    );
    await assert.rejects(senders.containers());
    await assert.rejects(senders.own());
    copyFileSync(certificates.ca, `${ca}.new`);
    renameSync(`${ca}.new`, ca);
    await untilTaken(senders.own);
    await senders.containers();
    assert.equal(backend.metrics.length, 2);
  });

  test(`${protocol}: an endpoint that is TLS by the rules of the spans gets no byte in the clear`, async (t) => {
    const first: Buffer[] = [];
    const listener = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (bytes) => {
        first.push(bytes);
        socket.destroy();
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    t.after(() => listener.close());
    const { port } = listener.address() as AddressInfo;
    for (const endpoint of [`127.0.0.1:${port}`, `HTTPS://127.0.0.1:${port}`, ` 127.0.0.1:${port} `]) {
      const from = first.length;
      const senders = await open(
        t,
        targetsOf({
          'export.protocol': protocol,
          'export.endpoint': endpoint,
          'export.headers': '{authorization: Bearer secret}',
          'export.timeout': '500ms',
        }),
      );
      await assert.rejects(senders.containers());
      await assert.rejects(senders.own());
      const pieces = first.slice(from);
      assert.ok(pieces.length >= 2, `${endpoint} was asked`);
      for (const piece of pieces) {
        assert.equal(piece[0], 0x16, `a handshake of TLS comes first: ${endpoint}`);
        assert.equal(piece.includes('secret'), false);
      }
    }
  });
}

test('grpc without TLS carries the token of export.headers_file, as the spans do', async (t) => {
  const backend = await grpcBackend({ authorization: () => 'Bearer x' });
  t.after(() => backend.close());
  const file = join(folderOf(t), 'headers');
  writeFileSync(file, 'authorization: Bearer x\n');
  const senders = await open(
    t,
    targetsOf({ 'export.endpoint': backend.endpoint, 'export.headers_file': file }),
  );
  await senders.own();
  assert.deepEqual(backend.authorizations, ['Bearer x']);
});
