import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { createCertificates } from '../helpers/certificates.ts';
import { ExportHarness, exportRequest } from '../helpers/export-harness.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startProxy } from '../helpers/proxy-server.ts';

/** A name that only the proxy can reach. */
const HOST = 'elsewhere.example';
const certificates = createCertificates();
after(() => certificates.remove());
const tls = {
  cert: readFileSync(certificates.wrongName.cert, 'utf8'),
  key: readFileSync(certificates.wrongName.key, 'utf8'),
};
const trust = { ca: certificates.ca, cert: null, key: null };
const proxyTls = { cert: readFileSync(certificates.server.cert), key: readFileSync(certificates.server.key) };
// A proxy's certificate is held against Node's own authorities.
setDefaultCACertificates([...getCACertificates(), readFileSync(certificates.ca, 'utf8')]);

for (const protocol of ['grpc', 'http/protobuf'] as const) {
  for (const scheme of ['http', 'https'] as const) {
    test(`${protocol} over ${scheme} goes through the proxy that the environment names`, async (t) => {
      const receiver = await startReceiver({ protocol, ...(scheme === 'https' ? { tls } : {}) });
      t.after(() => receiver.close());
      const proxy = await startProxy('me:pa ss');
      t.after(() => proxy.close());
      const harness = new ExportHarness({
        protocol,
        endpoint: `${scheme}://${HOST}:${receiver.port}`,
        tls: trust,
        proxyVariables: { [`${scheme}_proxy`]: `http://me:pa%20ss@127.0.0.1:${proxy.port}` },
      });
      const given = Array.from({ length: 8 }, () => harness.give(exportRequest(10), 10));
      await Promise.all(given);
      await harness.end();
      assert.equal(harness.counters.spans_accepted, 80);
      assert.equal(receiver.spanCount, 80);
      assert.deepEqual(harness.log, []);
      const target = `${HOST}:${receiver.port}`;
      const line =
        protocol === 'http/protobuf' && scheme === 'http'
          ? `POST http://${target}/v1/traces`
          : `CONNECT ${target}`;
      assert.deepEqual([...new Set(proxy.asked)], [line]);
      if (protocol === 'grpc') assert.equal(proxy.asked.length, 1, 'one tunnel for all requests');
      assert.equal(receiver.requests[0].headers['proxy-authorization'], undefined);
    });

    for (const host of ['localhost', '127.0.0.1'])
      test(`${protocol} over ${scheme} goes through a proxy that is reached by TLS, asked for as ${host}`, async (t) => {
        const receiver = await startReceiver({ protocol, ...(scheme === 'https' ? { tls } : {}) });
        t.after(() => receiver.close());
        const proxy = await startProxy('me:secret', 0, proxyTls);
        t.after(() => proxy.close());
        const harness = new ExportHarness({
          protocol,
          endpoint: `${scheme}://${HOST}:${receiver.port}`,
          tls: trust,
          proxyVariables: { [`${scheme}_proxy`]: `https://me:secret@${host}:${proxy.port}` },
        });
        await harness.give(exportRequest(10), 10);
        await receiver.waitFor(({ spanCount }) => spanCount === 10);
        await harness.end();
        assert.equal(harness.counters.spans_accepted, 10);
        assert.deepEqual(harness.log, []);
        assert.deepEqual(proxy.names, [host === 'localhost' ? host : false], 'never the name of the backend');
      });

    test(`${protocol} over ${scheme}: a proxy that is down, or refuses, costs no span and is named`, async (t) => {
      const receiver = await startReceiver({ protocol, ...(scheme === 'https' ? { tls } : {}) });
      t.after(() => receiver.close());
      const port = await freePort();
      const harness = new ExportHarness({
        protocol,
        endpoint: `${scheme}://${HOST}:${receiver.port}`,
        tls: trust,
        proxyVariables: { [`${scheme.toUpperCase()}_PROXY`]: `me:secret@127.0.0.1:${port}` },
      });
      await harness.give(exportRequest(10), 10);
      while (harness.log.length === 0) await new Promise(setImmediate);
      const strict = await startProxy('me:other', port);
      while (strict.asked.length === 0) await new Promise(setImmediate);
      await strict.close();
      const proxy = await startProxy('me:secret', port);
      t.after(() => proxy.close());
      await receiver.waitFor(({ spanCount }) => spanCount === 10);
      await harness.end();
      assert.equal(harness.counters.spans_accepted, 10);
      const { reason, cure } = harness.log[0].fields;
      assert.match(String(reason), /proxy of HTTPS?_PROXY .*127[.]0[.]0[.]1.*ECONNREFUSED/);
      assert.match(String(cure), /HTTPS_PROXY/);
      assert.doesNotMatch(JSON.stringify(harness.log), /secret/);
    });
  }

  test(`${protocol}: loopback and what NO_PROXY names are sent to directly`, async (t) => {
    const receiver = await startReceiver({ protocol });
    t.after(() => receiver.close());
    const proxyVariables = { HTTP_PROXY: `http://127.0.0.1:${await freePort()}` };
    const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, proxyVariables });
    await harness.give(exportRequest(10), 10);
    await harness.end();
    assert.deepEqual(harness.log, []);
    assert.equal(harness.counters.spans_accepted, 10);
  });

  test(`${protocol}: a tunnel outlives the deadline of the request that opened it`, async (t) => {
    const receiver = await startReceiver({ protocol, tls });
    t.after(() => receiver.close());
    const proxy = await startProxy();
    t.after(() => proxy.close());
    // Not by the clock: connecting may take long on a machine that is busy.
    const deadlines: AbortController[] = [];
    t.mock.method(AbortSignal, 'timeout', () => {
      deadlines.push(new AbortController());
      return deadlines.at(-1)!.signal;
    });
    const harness = new ExportHarness({
      protocol,
      endpoint: `https://${HOST}:${receiver.port}`,
      tls: trust,
      timeoutMs: 60_000,
      proxyVariables: { https_proxy: `http://127.0.0.1:${proxy.port}` },
    });
    await harness.give(exportRequest(10), 10);
    while (harness.counters.spans_accepted < 10) await new Promise(setImmediate);
    assert.equal(deadlines.length, 1, 'the tunnel had a deadline');
    deadlines[0].abort();
    await harness.give(exportRequest(10), 10);
    await harness.end();
    assert.equal(harness.counters.spans_accepted, 20);
    assert.deepEqual(harness.log, []);
    assert.equal(proxy.asked.length, 1);
  });

  test(`${protocol}: a key that isn't its certificate's costs no span, ends nothing, and leaves no tunnel open`, async (t) => {
    const receiver = await startReceiver({ protocol, tls });
    t.after(() => receiver.close());
    const proxy = await startProxy();
    t.after(() => proxy.close());
    const harness = new ExportHarness({
      protocol,
      endpoint: `https://${HOST}:${receiver.port}`,
      // As between the replacing of the one and of the other.
      tls: { ca: certificates.ca, cert: certificates.client.cert, key: certificates.server.key },
      proxyVariables: { https_proxy: `http://127.0.0.1:${proxy.port}` },
    });
    await harness.give(exportRequest(10), 10);
    while (proxy.asked.length < 3) await new Promise(setImmediate);
    const { reason, cure } = harness.log[0].fields;
    assert.match(String(reason), /key values mismatch/);
    assert.match(String(cure), /export\.tls\.cert and export\.tls\.key/);
    await harness.end(0);
    assert.equal(harness.counters.shutdown, 10, 'they were still to be sent');
    while (proxy.connections > 0) await new Promise(setImmediate);
  });

  test(`${protocol}: a variable that names no proxy is told, and nothing is sent around it`, async (t) => {
    const receiver = await startReceiver({ protocol });
    t.after(() => receiver.close());
    const endpoint = `http://${HOST}:${receiver.port}`;
    const proxyVariables = { HTTP_PROXY: 'socks5://me:secret@127.0.0.1:1' };
    const harness = new ExportHarness({ protocol, endpoint, proxyVariables });
    await harness.give(exportRequest(10), 10);
    await harness.end(50);
    assert.equal(harness.counters.shutdown, 10);
    assert.match(String(harness.log[0].fields.reason), /HTTP_PROXY is no address of a proxy/);
    assert.doesNotMatch(JSON.stringify(harness.log), /secret/);
  });

  test(`${protocol}: a hanging proxy costs the deadline of a request, and a stop doesn't wait for it`, async (t) => {
    const { createServer } = await import('node:net');
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = server.address() as { port: number };
    const endpoint = `https://${HOST}:1`;
    const proxyVariables = { https_proxy: `http://127.0.0.1:${port}` };
    const patient = new ExportHarness({ protocol, endpoint, proxyVariables, timeoutMs: 60_000 });
    await patient.give(exportRequest(10), 10);
    await patient.end(50);
    assert.equal(patient.counters.shutdown, 10);
    const hasty = new ExportHarness({ protocol, endpoint, proxyVariables, timeoutMs: 100 });
    await hasty.give(exportRequest(10), 10);
    while (hasty.log.length === 0) await new Promise(setImmediate);
    await hasty.end(0);
    assert.equal(hasty.counters.shutdown, 10);
  });
}

test('http/protobuf: user and password of the endpoint reach the backend in a header, and no proxy in a line', async (t) => {
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const proxy = await startProxy();
  t.after(() => proxy.close());
  const harness = new ExportHarness({
    protocol: 'http/protobuf',
    endpoint: `http://me:hidden@${HOST}:${receiver.port}/v1/traces?tenant=1`,
    proxyVariables: { http_proxy: `http://127.0.0.1:${proxy.port}` },
  });
  await harness.give(exportRequest(10), 10);
  await receiver.waitFor(({ spanCount }) => spanCount === 10);
  await harness.end();
  assert.deepEqual(proxy.asked, [`POST http://${HOST}:${receiver.port}/v1/traces?tenant=1`]);
  const expected = `Basic ${Buffer.from('me:hidden').toString('base64')}`;
  assert.equal(receiver.requests[0].headers.authorization, expected);
});
