import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { ExportOptions } from '../../src/export/export-options.ts';
import { ExportHarness, exportRequest } from '../helpers/export-harness.ts';
import { startReceiver, type Behaviour, type OtlpReceiver } from '../helpers/otlp-receiver.ts';

interface Run {
  readonly harness: ExportHarness;
  readonly receiver: OtlpReceiver;
}

type Protocol = ExportOptions['protocol'];

/** Sends `requests` requests of 10 spans to a backend that behaves so, and flushes. */
async function run(
  t: TestContext,
  protocol: Protocol,
  behaviours: readonly Behaviour[],
  options: Partial<ExportOptions> = {},
  requests = 1,
): Promise<Run> {
  const receiver = await startReceiver({ protocol, behaviours });
  t.after(() => receiver.close());
  const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, ...options });
  for (let index = 0; index < requests; index += 1) await harness.give(exportRequest(10), 10);
  await harness.end();
  return { harness, receiver };
}

/** Asserts that a backend which always answers so is tried once before a backoff of half a minute, and once more at a stop. */
async function assertTriedOnce(t: TestContext, protocol: Protocol, otherwise: Behaviour): Promise<void> {
  const receiver = await startReceiver({ protocol, otherwise });
  t.after(() => receiver.close());
  const backoff = { firstMs: 60_000, maxMs: 60_000 };
  const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, backoff });
  await harness.give(exportRequest(10), 10);
  while (harness.log.length === 0) await new Promise(setImmediate);
  await harness.end(200);
  assert.equal(receiver.requests.length, 2);
  assert.equal(harness.counters.shutdown, 10);
}

for (const protocol of ['grpc', 'http/protobuf'] as const) {
  test(`${protocol}: a partial success is not sent again, and its rejected spans are counted`, async (t) => {
    const { harness, receiver } = await run(t, protocol, [
      { type: 'partial', rejectedSpans: 4, message: 'too old' },
    ]);
    assert.equal(harness.counters.rejected, 4);
    assert.equal(harness.counters.spans_accepted, 6);
    assert.equal(receiver.requests.length, 1);
    assert.equal(harness.warnings(/rejected spans/)[0].fields.reason, 'too old');
  });

  test(`${protocol}: a backend that rejects more than it got can't break the law`, async (t) => {
    const { harness } = await run(t, protocol, [{ type: 'partial', rejectedSpans: 1e9, message: '' }]);
    assert.equal(harness.counters.rejected, 10);
    assert.equal(harness.counters.spans_accepted, 0);
  });

  test(`${protocol}: a partial success without rejected spans is a success with a remark`, async (t) => {
    const { harness } = await run(t, protocol, [{ type: 'partial', rejectedSpans: 0, message: 'use v2' }]);
    assert.equal(harness.counters.spans_accepted, 10);
    assert.equal(harness.warnings(/remark/)[0].fields.reason, 'use v2');
  });

  test(`${protocol}: a hung backend costs a timeout, and the request is sent again on another connection`, async (t) => {
    const { harness, receiver } = await run(t, protocol, [{ type: 'hang' }], { timeoutMs: 150 });
    assert.equal(harness.counters.spans_accepted, 10);
    assert.equal(harness.counters.requests_retried, 1);
    assert.deepEqual(
      receiver.requests.map(({ behaviour }) => behaviour),
      ['hang', 'accept'],
    );
    assert.match(String(harness.log[0].fields.reason), /no answer within 150 ms/);
  });

  test(`${protocol}: a connection reset in the middle of a request loses nothing`, async (t) => {
    const behaviours: Behaviour[] = [
      { type: 'accept' },
      { type: 'reset' },
      { type: 'reset' },
      { type: 'reset' },
    ];
    const { harness, receiver } = await run(t, protocol, behaviours, { requestsInFlightMax: 1 }, 3);
    assert.equal(harness.counters.spans_accepted, 30);
    assert.equal(receiver.spanCount, 30);
    assert.ok(harness.counters.requests_retried >= 1);
    assert.equal(
      harness.warnings(/does not take spans/).length,
      harness.log.filter(({ level }) => level === 'info').length,
    );
  });

  test(`${protocol}: a backend that ends each connection in good order causes no failure`, async (t) => {
    const behaviours = Array.from({ length: 5 }, () => ({ type: 'accept-and-close' }) as const);
    const { harness, receiver } = await run(t, protocol, behaviours, { requestsInFlightMax: 1 }, 5);
    assert.equal(receiver.spanCount, 50);
    assert.equal(harness.counters.spans_accepted, 50);
    assert.deepEqual(harness.log, []);
  });

  for (const behaviour of [{ type: 'garbage' }, { type: 'huge', bytes: 300_000 }] as const) {
    test(`${protocol}: a yes with a ${behaviour.type} body is a yes, with a warning`, async (t) => {
      const { harness, receiver } = await run(t, protocol, [behaviour], {}, 3);
      assert.equal(harness.counters.spans_accepted, 30);
      assert.equal(receiver.requests.length, 3);
      assert.equal(harness.warnings(/remark/).length, 1);
    });
  }

  test(`${protocol}: compression falls back step by step until the backend understands`, async (t) => {
    const receiver = await startReceiver({ protocol, acceptEncodings: ['identity'] });
    t.after(() => receiver.close());
    const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, compression: 'zstd' });
    for (let index = 0; index < 8; index += 1) await harness.give(exportRequest(10), 10);
    await harness.end();
    assert.equal(harness.counters.spans_accepted, 80);
    assert.equal(receiver.spans.length, 80);
    assert.equal(harness.warnings(/does not take zstd/).length, 1);
    assert.equal(harness.warnings(/does not take gzip/).length, 1);
    assert.equal(harness.counters.rejected, 0);
  });

  test(`${protocol}: HTTP statuses of a proxy are sent again or refused as the protocol says`, async (t) => {
    for (const status of [429, 502, 503, 504]) {
      const { harness } = await run(t, protocol, [{ type: 'http-status', status }]);
      assert.equal(harness.counters.spans_accepted, 10, String(status));
      assert.equal(harness.counters.requests_retried, 1, String(status));
    }
    for (const status of [301, 400, 401, 403, 404, 413, 500]) {
      const { harness, receiver } = await run(
        t,
        protocol,
        [{ type: 'http-status', status, message: 'no\nway' }],
        {},
        2,
      );
      assert.equal(harness.counters.rejected, 10, String(status));
      assert.equal(harness.counters.spans_accepted, 10, String(status));
      assert.equal(receiver.requests.length, 2, String(status));
      assert.match(String(harness.log[0].fields.reason), new RegExp(`HTTP ${status}`));
      if (protocol === 'http/protobuf') assert.match(String(harness.log[0].fields.reason), /: no way$/);
    }
  });

  test(`${protocol}: the same refusal is told once, and counted each time`, async (t) => {
    const refusal: Behaviour =
      protocol === 'grpc'
        ? { type: 'grpc-status', code: 3, message: 'bad span' }
        : { type: 'http-status', status: 400, message: 'bad span' };
    const { harness } = await run(
      t,
      protocol,
      Array.from({ length: 20 }, () => refusal),
      {},
      20,
    );
    assert.equal(harness.counters.rejected, 200);
    assert.equal(harness.warnings(/rejected a request/).length, 1);
    assert.match(String(harness.log[0].fields.reason), /bad span/);
  });

  test(`${protocol}: a request that is given up after its time is counted as retries_exhausted`, async (t) => {
    const behaviours = Array.from({ length: 50 }, () => ({ type: 'http-status', status: 503 }) as const);
    const { harness } = await run(t, protocol, behaviours, { retryElapsedMaxMs: 100 });
    assert.equal(harness.counters.retries_exhausted, 10);
    assert.ok(harness.counters.requests_retried >= 1);
  });

  test(`${protocol}: one request that the backend can't stand doesn't hold up the others`, async (t) => {
    const behaviours: Behaviour[] = [{ type: 'http-status', status: 503 }];
    const receiver = await startReceiver({ protocol, behaviours });
    t.after(() => receiver.close());
    const harness = new ExportHarness({ protocol, endpoint: receiver.endpoint, requestsInFlightMax: 1 });
    await harness.give(exportRequest(10), 10);
    for (let index = 0; index < 3; index += 1) await harness.give(exportRequest(1), 1);
    await receiver.waitFor(({ requests }) => requests.length >= 2);
    assert.deepEqual(
      receiver.requests.slice(0, 2).map(({ spans, behaviour }) => [spans, behaviour]),
      [
        [10, 'http-status'],
        [1, 'accept'],
      ],
    );
    await harness.end();
    assert.equal(harness.counters.spans_accepted, 13);
  });
}

test('http/protobuf: Retry-After is kept, in seconds and as a date', async (t) => {
  for (const retryAfterOf of [() => '1', () => new Date(Date.now() + 2000).toUTCString()]) {
    const retryAfter = retryAfterOf();
    const { receiver } = await run(t, 'http/protobuf', [{ type: 'http-status', status: 429, retryAfter }]);
    const [first, second] = receiver.requests;
    assert.ok(second.receivedMs - first.receivedMs >= 900, `${second.receivedMs - first.receivedMs} ms`);
  }
});

for (const [what, retryAfterOf] of [
  ['0', () => '0'],
  ['a date that has passed', () => new Date(Date.now() - 60_000).toUTCString()],
] as const) {
  test(`http/protobuf: Retry-After of ${what} still leaves a wait between tries`, async (t) => {
    await assertTriedOnce(t, 'http/protobuf', {
      type: 'http-status',
      status: 503,
      retryAfter: retryAfterOf(),
    });
  });
}

test('grpc: a RetryInfo without a delay still leaves a wait between tries', async (t) => {
  await assertTriedOnce(t, 'grpc', { type: 'grpc-status', code: 8, retryDelayMs: 0 });
});

test('grpc: codes are sent again or refused as OTLP says', async (t) => {
  for (const code of [1, 4, 10, 11, 14, 15]) {
    const { harness } = await run(t, 'grpc', [{ type: 'grpc-status', code }]);
    assert.equal(harness.counters.spans_accepted, 10, `code ${code}`);
    assert.equal(harness.counters.requests_retried, 1, `code ${code}`);
  }
  for (const code of [2, 3, 5, 6, 7, 8, 9, 12, 13, 16]) {
    const { harness } = await run(t, 'grpc', [{ type: 'grpc-status', code, isTrailersOnly: code % 2 === 0 }]);
    assert.equal(harness.counters.rejected, 10, `code ${code}`);
    assert.equal(harness.counters.requests_sent, 1, `code ${code}`);
  }
});

test('grpc: RESOURCE_EXHAUSTED with RetryInfo is sent again after the delay', async (t) => {
  for (const isTrailersOnly of [true, false]) {
    const behaviour = {
      type: 'grpc-status',
      code: 8,
      message: 'slow down',
      retryDelayMs: 300,
      isTrailersOnly,
    } as const;
    const { harness, receiver } = await run(t, 'grpc', [behaviour]);
    assert.equal(harness.counters.spans_accepted, 10);
    const [first, second] = receiver.requests;
    assert.ok(second.receivedMs - first.receivedMs >= 290, `${second.receivedMs - first.receivedMs} ms`);
  }
});

test('http/protobuf: an answer that changes the protocol (101) refuses the request, and ends its send', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    const answer = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n';
    socket.once('data', () => socket.resume().end(answer));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const harness = new ExportHarness({ protocol: 'http/protobuf', endpoint });
  // More than may be in flight at once: none of them holds its place.
  for (let index = 0; index < 6; index += 1) await harness.give(exportRequest(10), 10);
  await harness.end();
  assert.equal(harness.counters.rejected, 60);
});
