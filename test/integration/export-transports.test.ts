import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createCertificates } from '../helpers/certificates.ts';
import { ExportHarness, exportRequest } from '../helpers/export-harness.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';

const certificates = createCertificates();
after(() => certificates.remove());
const serverTls = {
  cert: readFileSync(certificates.server.cert, 'utf8'),
  key: readFileSync(certificates.server.key, 'utf8'),
};
const noTls = { ca: null, cert: null, key: null };
const PROTOCOLS = ['grpc', 'http/protobuf'] as const;

for (const protocol of PROTOCOLS) {
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    test(`${protocol} with ${compression} delivers every span as it was`, async (t) => {
      const receiver = await startReceiver({ protocol });
      t.after(() => receiver.close());
      const harness = new ExportHarness({
        protocol,
        compression,
        endpoint: receiver.endpoint,
        headers: { 'X-Tenant': 'a' },
      });
      const request = exportRequest(500);
      await harness.give(request, 500);
      request.fill(0); // the promise gave the buffer back
      await harness.give(exportRequest(3, 'last'), 3);
      await harness.end();
      assert.equal(harness.counters.spans_accepted, 503);
      assert.deepEqual(harness.log, []);
      assert.equal(harness.counters.requests_sent, 2);
      assert.equal(receiver.spans.length, 503);
      const { resource, scope, schemaUrl, span } = receiver.spans.find(
        (each) => each.span.name === 'span 7',
      )!;
      assert.deepEqual(resource.attributes, { 'service.name': 'shop' });
      assert.deepEqual(scope, { name: 'fdspan', version: '1.2.3' });
      assert.equal(schemaUrl, 'https://example.org/schema');
      assert.deepEqual(span.attributes, { 'file.path': '/x', 'process.pid': 9007199254740993n });
      assert.equal(span.traceId, 'ab'.repeat(16));
      assert.equal(span.spanId, '0000000000000007');
      assert.equal(span.startTimeUnixNano, 1764000000123456789n);
      const sent = receiver.requests[0];
      assert.equal(sent.encoding, compression === 'none' ? 'identity' : compression);
      assert.equal(sent.headers['x-tenant'], 'a');
      assert.match(sent.headers['user-agent'], /^fdspan\/test/);
      assert.equal(
        harness.counters.bytes_sent,
        receiver.requests.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0),
      );
      assert.deepEqual(harness.log, []);
    });
  }

  test(`${protocol} over TLS trusts only the authority it was told of`, async (t) => {
    const receiver = await startReceiver({ protocol, tls: serverTls });
    t.after(() => receiver.close());
    const trusting = new ExportHarness({
      protocol,
      endpoint: receiver.endpoint,
      tls: { ...noTls, ca: certificates.ca },
    });
    await trusting.give(exportRequest(2), 2);
    await trusting.end();
    assert.equal(trusting.counters.spans_accepted, 2);
    for (const ca of [null, certificates.strangerCa]) {
      const distrusting = new ExportHarness({ protocol, endpoint: receiver.endpoint, tls: { ...noTls, ca } });
      await distrusting.give(exportRequest(2), 2);
      await distrusting.end(200);
      assert.equal(distrusting.counters.shutdown, 2);
      assert.match(String(distrusting.log[0].fields.cure), /export\.tls\.ca/);
    }
    assert.equal(receiver.spanCount, 2);
  });

  test(`${protocol} refuses a certificate made out to another host`, async (t) => {
    const { cert, key } = certificates.wrongName;
    const receiver = await startReceiver({
      protocol,
      tls: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
    });
    t.after(() => receiver.close());
    const harness = new ExportHarness({
      protocol,
      endpoint: receiver.endpoint,
      tls: { ...noTls, ca: certificates.ca },
    });
    await harness.give(exportRequest(2), 2);
    await harness.end(200);
    assert.equal(harness.counters.shutdown, 2);
    assert.match(String(harness.log[0].fields.cure), /host name/);
  });

  test(`${protocol} shows its client certificate, and can't do without where one is asked for`, async (t) => {
    const receiver = await startReceiver({
      protocol,
      tls: { ...serverTls, ca: readFileSync(certificates.ca, 'utf8') },
    });
    t.after(() => receiver.close());
    const tls = { ca: certificates.ca, ...certificates.client };
    const known = new ExportHarness({ protocol, endpoint: receiver.endpoint, tls });
    await known.give(exportRequest(2), 2);
    await known.end();
    assert.equal(known.counters.spans_accepted, 2);
    const unknown = new ExportHarness({
      protocol,
      endpoint: receiver.endpoint,
      tls: { ...noTls, ca: certificates.ca },
    });
    await unknown.give(exportRequest(2), 2);
    await unknown.end(200);
    assert.equal(unknown.counters.shutdown, 2);
    assert.equal(unknown.warnings(/does not take spans/).length, 1);
  });

  test(`${protocol} says that the port speaks the other protocol`, async (t) => {
    const receiver = await startReceiver({ protocol: protocol === 'grpc' ? 'http/protobuf' : 'grpc' });
    t.after(() => receiver.close());
    const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint });
    await harness.give(exportRequest(2), 2);
    await harness.end(300);
    assert.equal(harness.counters.spans_accepted, 0);
    assert.match(String(harness.log[0].fields.cure), /export\.protocol/, JSON.stringify(harness.log[0]));
  });

  test(`${protocol} reads the headers' file again when the backend refuses the token`, async (t) => {
    const headersFile = join(certificates.folder, `headers-${protocol.slice(0, 4)}`);
    writeFileSync(headersFile, '# renewed by the vault\nAuthorization: Bearer old\n');
    const refusal =
      protocol === 'grpc'
        ? ({ type: 'grpc-status', code: 16, message: 'expired' } as const)
        : ({ type: 'http-status', status: 401, message: 'expired' } as const);
    const receiver = await startReceiver({ protocol, behaviours: [refusal] });
    t.after(() => receiver.close());
    const harness = new ExportHarness({
      protocol,
      endpoint: receiver.endpoint,
      headersFile,
      backoff: { firstMs: 200, maxMs: 200 },
    });
    await harness.give(exportRequest(2), 2);
    await receiver.waitFor(({ requests }) => requests.length === 1);
    writeFileSync(headersFile, 'Authorization: Bearer new-one\n');
    await receiver.waitFor(({ requests }) => requests.length === 2);
    await harness.end();
    assert.deepEqual(
      receiver.requests.map(({ headers }) => headers.authorization),
      ['Bearer old', 'Bearer new-one'],
    );
    assert.equal(harness.counters.spans_accepted, 2);
    assert.ok(!JSON.stringify(harness.log).includes('Bearer'), 'no secret in the log');
    rmSync(headersFile);
  });
}

for (const compression of ['none', 'gzip'] as const) {
  test(`the official gRPC server understands the client (${compression})`, async (t) => {
    const delayed = { type: 'grpc-status', code: 8, message: 'slow – down', retryDelayMs: 30 } as const;
    const behaviours = [delayed, { type: 'partial', rejectedSpans: 1, message: 'one too many' }] as const;
    const receiver = await startReceiver({ protocol: 'grpc', server: 'grpc-js', behaviours, tls: serverTls });
    t.after(() => receiver.close());
    const tls = { ...noTls, ca: certificates.ca };
    const harness = new ExportHarness({ protocol: 'grpc', compression, endpoint: receiver.endpoint, tls });
    await harness.give(exportRequest(10), 10);
    await harness.end();
    await receiver.waitFor(({ spanCount }) => spanCount === 10);
    assert.equal(harness.counters.spans_accepted, 9);
    assert.equal(harness.counters.rejected, 1);
    assert.equal(harness.log[0].fields.reason, 'RESOURCE_EXHAUSTED: slow – down');
  });
}

test('the official gRPC server has no zstd: requests are sent with gzip, those that wait too', async (t) => {
  const receiver = await startReceiver({ protocol: 'grpc', server: 'grpc-js' });
  t.after(() => receiver.close());
  const harness = new ExportHarness({ protocol: 'grpc', compression: 'zstd', endpoint: receiver.endpoint });
  for (let index = 0; index < 10; index += 1) await harness.give(exportRequest(10), 10);
  await harness.end();
  assert.equal(harness.counters.spans_accepted, 100);
  assert.equal(receiver.spans.length, 100);
  assert.equal(harness.warnings(/does not take zstd/).length, 1);
});

test('a receiver takes 100,000 spans, and counts what it was told not to keep', async (t) => {
  const receiver = await startReceiver({ protocol: 'http/protobuf', decode: 'count' });
  t.after(() => receiver.close());
  const harness = new ExportHarness({
    protocol: 'http/protobuf',
    compression: 'auto',
    endpoint: receiver.endpoint,
  });
  const request = exportRequest(2000);
  for (let index = 0; index < 50; index += 1) await harness.give(request, 2000);
  await harness.end();
  assert.equal(receiver.spanCount, 100_000);
  assert.equal(harness.counters.spans_accepted, 100_000);
  assert.equal(receiver.spans.length, 0);
});
