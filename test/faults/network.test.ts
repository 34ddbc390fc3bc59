// Each fault of a backend and of the way to it, against a real receiver, with the law to the last span.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Collector, Stopped } from '../helpers/collector-process.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import {
  eventually,
  hasWarned,
  PROTOCOLS,
  startLoad,
  startTracing,
  tellOutcome,
  type Load,
  type Outcome,
  type Pace,
  type Protocol,
} from '../helpers/fault-run.ts';
import { freePort } from '../helpers/free-port.ts';
import { startReceiver, type Behaviour, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { startNoise } from '../helpers/noise-server.ts';
import { SpanCensus } from '../helpers/span-census.ts';

const skip = whyNoKernelTests() ?? false;
/** Of a request, for the faults that are noticed by it alone. */
const SHORT_TIMEOUT_MS = 700;
/** Far longer than any answer here takes. */
const TIMEOUT_MS = 60_000;
/** Requests of a megabyte, more than a connection's windows and buffers hold at once. */
const LARGE: Pace = { pauseNs: 150_000, depth: 10 };

interface Run {
  readonly protocol: Protocol;
  readonly receiver: OtlpReceiver;
  readonly collector: Collector;
  readonly load: Load;
  readonly census: SpanCensus;
}

/** Starts all with a backend that behaves so; `act` ends the fault, and the load goes on until its end. */
async function suffer(
  t: TestContext,
  fault: string,
  protocol: Protocol,
  behaviour: {
    readonly first?: readonly Behaviour[];
    readonly otherwise?: Behaviour;
    readonly pace?: Pace;
    readonly timeoutMs?: number;
  },
  act: (run: Run) => Promise<void>,
  outcome: (run: Run, stopped: Stopped) => Partial<Outcome> = () => ({}),
): Promise<void> {
  const census = new SpanCensus();
  const receiver = await startReceiver({
    protocol,
    behaviours: behaviour.first ?? [],
    otherwise: behaviour.otherwise ?? { type: 'accept' },
    decode: 'count',
    watch: census.take,
  });
  t.after(() => receiver.close());
  const load = await startLoad(t, behaviour.pace);
  const collector = await startTracing(t, load, {
    protocol,
    endpoint: receiver.endpoint,
    set: { 'export.timeout': `${behaviour.timeoutMs ?? TIMEOUT_MS}ms` },
  });
  const run = { protocol, receiver, collector, load, census };
  load.begin();
  await act(run);
  const files = await load.end();
  const stopped = await collector.stop();
  tellOutcome(t, fault, protocol, { files, counters: stopped.counters, census, ...outcome(run, stopped) });
}

/** Resolves when the backend has got so many requests that it behaved so to. */
function seen({ receiver }: Run, type: Behaviour['type'], requests: number): Promise<void> {
  return receiver.waitFor(
    (each) => each.requests.filter(({ behaviour }) => behaviour === type).length >= requests,
    60_000,
  );
}

async function heal(run: Run): Promise<void> {
  run.receiver.otherwise = { type: 'accept' };
  await seen(run, 'accept', 2);
}

function isOf(type: Behaviour['type'], { receiver }: Run): number {
  return receiver.requests.filter(({ behaviour }) => behaviour === type).length;
}

for (const protocol of PROTOCOLS) {
  const unavailable: Behaviour =
    protocol === 'grpc'
      ? { type: 'grpc-status', code: 14, message: 'try again' }
      : { type: 'http-status', status: 503 };
  const throttled: Behaviour =
    protocol === 'grpc'
      ? { type: 'grpc-status', code: 8, message: 'slow down', retryDelayMs: 1000 }
      : { type: 'http-status', status: 429, retryAfter: '1' };
  const refusal: Behaviour =
    protocol === 'grpc'
      ? { type: 'grpc-status', code: 3, message: 'a bad span' }
      : { type: 'http-status', status: 400, message: 'a bad span' };

  test(`${protocol}: nobody listens, then somebody does: every span arrives`, { skip }, async (t) => {
    const port = await freePort();
    const census = new SpanCensus();
    const load = await startLoad(t);
    const collector = await startTracing(t, load, { protocol, endpoint: `http://127.0.0.1:${port}` });
    load.begin();
    await eventually('a refused connection', () => hasWarned(collector, /ECONNREFUSED/));
    const receiver = await startReceiver({ protocol, port, decode: 'count', watch: census.take });
    t.after(() => receiver.close());
    await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
    const files = await load.end();
    const { counters } = await collector.stop();
    assert.equal(counters.spans_accepted, files);
    tellOutcome(t, 'refused', protocol, { files, counters, census });
  });

  test(`${protocol}: a hung backend costs deadlines and no span`, { skip }, (t) =>
    suffer(t, 'hung', protocol, { otherwise: { type: 'hang' }, timeoutMs: SHORT_TIMEOUT_MS }, async (run) => {
      await seen(run, 'hang', 3);
      await heal(run);
    }),
  );

  test(`${protocol}: a backend that takes and hangs costs duplicates, which are counted`, { skip }, (t) =>
    suffer(
      t,
      'takes, and never answers',
      protocol,
      { otherwise: { type: 'accept-and-hang' }, timeoutMs: SHORT_TIMEOUT_MS },
      async (run) => {
        await seen(run, 'accept-and-hang', 3);
        await heal(run);
      },
      ({ census }) => {
        assert.ok(census.duplicates > 0);
        return { allowsDuplicates: true };
      },
    ),
  );

  test(`${protocol}: connections reset in mid-body cost no span`, { skip }, (t) =>
    suffer(
      t,
      'reset in mid-body',
      protocol,
      { first: Array.from({ length: 5 }, () => ({ type: 'reset' })) },
      (run) => seen(run, 'accept', 3),
      () => ({ allowsDuplicates: true }),
    ),
  );

  test(`${protocol}: a backend that reads slowly costs nothing while it ends in time`, { skip }, (t) =>
    suffer(
      t,
      'slow reader, within the deadline',
      protocol,
      { otherwise: { type: 'slow', pauseMs: 2 }, pace: LARGE },
      (run) => seen(run, 'slow', 5),
      (_run, { counters }) => {
        assert.equal(counters.requests_retried, 0);
        return {};
      },
    ),
  );

  test(`${protocol}: a backend that reads too slowly costs deadlines and no span`, { skip }, (t) =>
    suffer(
      t,
      'slow reader, past the deadline',
      protocol,
      {
        otherwise: { type: 'slow', pauseMs: 2 * SHORT_TIMEOUT_MS },
        pace: LARGE,
        timeoutMs: SHORT_TIMEOUT_MS,
      },
      async (run) => {
        await eventually('a deadline', () => hasWarned(run.collector, /no answer within/));
        await heal(run);
      },
      () => ({ allowsDuplicates: true }),
    ),
  );

  const wait = protocol === 'grpc' ? 'RESOURCE_EXHAUSTED with RetryInfo' : '429 with Retry-After';
  test(`${protocol}: ${wait} is waited for`, { skip }, (t) =>
    suffer(
      t,
      wait,
      protocol,
      { first: [throttled, throttled, throttled] },
      (run) => seen(run, 'accept', 2),
      ({ receiver }) => {
        const [first, second] = receiver.requests;
        assert.ok(second.receivedMs - first.receivedMs >= 900, 'the wait that was asked for is kept');
        return {};
      },
    ),
  );

  test(`${protocol}: a partial success is counted as rejected and never sent again`, { skip }, (t) =>
    suffer(
      t,
      'partial success',
      protocol,
      { first: Array.from({ length: 3 }, () => ({ type: 'partial', rejectedSpans: 7, message: 'too old' })) },
      (run) => seen(run, 'accept', 2),
      (run, { counters }) => {
        assert.equal(isOf('partial', run), 3);
        assert.equal(counters.rejected, 21);
        assert.ok(hasWarned(run.collector, /too old/));
        return { keptThoughRejected: 21 };
      },
    ),
  );

  test(
    `${protocol}: what is refused for good is dropped, counted, and told once in the backend's words`,
    { skip },
    (t) =>
      suffer(
        t,
        'refused for good',
        protocol,
        { first: [refusal, refusal, refusal] },
        (run) => seen(run, 'accept', 2),
        ({ collector, receiver }, { counters }) => {
          const refused = receiver.requests.filter(({ behaviour }) => behaviour === refusal.type);
          const spans = refused.reduce((sum, request) => sum + request.spans, 0);
          assert.equal(refused.length, 3);
          assert.equal(counters.rejected + counters.process_spans_dropped, spans);
          assert.equal(
            collector.logs.filter((line) => JSON.stringify(line).includes('a bad span')).length,
            1,
          );
          return {};
        },
      ),
  );

  test(`${protocol}: a yes with garbage in it is a yes`, { skip }, (t) =>
    suffer(
      t,
      'garbage in the answer',
      protocol,
      { otherwise: { type: 'garbage' } },
      (run) => seen(run, 'garbage', 4),
      ({ collector }, { counters }) => {
        assert.equal(counters.requests_retried, 0);
        assert.ok(hasWarned(collector, /no OTLP answer/));
        return {};
      },
    ),
  );

  test(`${protocol}: a port that answers with garbage costs no span`, { skip }, async (t) => {
    const noise = await startNoise();
    t.after(() => noise.close());
    const census = new SpanCensus();
    const load = await startLoad(t);
    const collector = await startTracing(t, load, { protocol, endpoint: `http://127.0.0.1:${noise.port}` });
    load.begin();
    await eventually('garbage', () => hasWarned(collector, /does not take spans/));
    await eventually('more of it', () => noise.connections >= 3);
    await noise.close();
    const { port } = noise;
    const receiver = await startReceiver({ protocol, port, decode: 'count', watch: census.take });
    t.after(() => receiver.close());
    await receiver.waitFor(({ requests }) => requests.length >= 2, 60_000);
    const files = await load.end();
    const { counters } = await collector.stop();
    assert.equal(counters.spans_accepted, files);
    tellOutcome(t, 'garbage in place of the protocol', protocol, { files, counters, census });
  });

  const close = protocol === 'grpc' ? 'GOAWAY after each answer' : 'Connection: close after each answer';
  test(`${protocol}: ${close} costs no request`, { skip }, (t) =>
    suffer(
      t,
      close,
      protocol,
      { otherwise: { type: 'accept-and-close' } },
      (run) => seen(run, 'accept-and-close', 8),
      (_run, { counters }) => {
        assert.equal(counters.requests_retried, 0);
        return {};
      },
    ),
  );

  test(
    `${protocol}: ${unavailable.type === 'http-status' ? '503' : 'UNAVAILABLE'} for some requests costs no span`,
    { skip },
    (t) =>
      suffer(t, 'unavailable for a moment', protocol, { first: [unavailable, unavailable] }, (run) =>
        seen(run, 'accept', 3),
      ),
  );
}
