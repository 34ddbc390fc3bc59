// The whole export, with a real receiver that misbehaves in any order, a queue and a spool that are too small, and a second
// run over what the first one left: every span is accepted, counted as dropped, or on the disk.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { ExportOptions } from '../../../src/export/export-options.ts';
import { Spool } from '../../../src/export/spool/spool.ts';
import { ExportHarness, exportRequest } from '../../helpers/export-harness.ts';
import { startReceiver, type Behaviour, type OtlpReceiver } from '../../helpers/otlp-receiver.ts';
import type { FuzzTarget } from '../fuzz.ts';

/** Short, since a receiver may hang. */
const TIMEOUT_MS = 150;
const FLUSH_MS = 3000;
const status = fc.constantFrom(301, 400, 401, 404, 413, 415, 429, 500, 502, 503, 504);
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Behaviour>({ type: 'accept' }) },
  fc.record({
    type: fc.constant('partial' as const),
    rejectedSpans: fc.oneof(fc.nat({ max: 12 }), fc.constantFrom(2 ** 40, Number.MAX_SAFE_INTEGER)),
    message: fc.constantFrom('', 'too old'),
  }),
  status.map((each): Behaviour => ({ type: 'http-status', status: each, retryAfter: '0', message: 'gzip?' })),
  fc.constantFrom<Behaviour[]>(
    { type: 'hang' },
    { type: 'reset' },
    { type: 'accept-and-close' },
    { type: 'garbage' },
    { type: 'huge', bytes: 100_000 },
  ),
);
const grpcBehaviour = fc.oneof(
  behaviour,
  fc
    .integer({ min: 1, max: 17 })
    .map((code): Behaviour => ({ type: 'grpc-status', code, message: 'compressed?' })),
  fc.constant<Behaviour>({ type: 'grpc-status', code: 8, message: 'slow down', retryDelayMs: 1 }),
);

interface Input {
  readonly protocol: ExportOptions['protocol'];
  readonly behaviours: readonly Behaviour[];
  /** Spans of each request. */
  readonly requests: readonly number[];
  readonly queueBytesMax: number;
  /** null: none. */
  readonly spoolBytesMax: number | null;
  readonly compression: ExportOptions['compression'];
  readonly isAborted: boolean;
}

async function harnessOf(input: Input, receiver: OtlpReceiver, dir: string): Promise<ExportHarness> {
  const { protocol, queueBytesMax, spoolBytesMax, compression } = input;
  const options = {
    protocol,
    endpoint: receiver.endpoint,
    queueBytesMax,
    compression,
    timeoutMs: TIMEOUT_MS,
  };
  const spool =
    spoolBytesMax === null ? null : await Spool.open({ dir, bytesMax: spoolBytesMax }, () => true);
  return new ExportHarness({ ...options, backoff: { firstMs: 1, maxMs: 4 } }, spool);
}

function namesOf({ spans }: OtlpReceiver): Set<string> {
  return new Set(spans.map(({ span }) => span.name));
}

async function judge(input: Input): Promise<string> {
  const { protocol, behaviours, requests, isAborted } = input;
  const dir = mkdtempSync(join(tmpdir(), 'fdspan-fuzz-export-'));
  const receivers = await Promise.all([startReceiver({ protocol, behaviours }), startReceiver({ protocol })]);
  try {
    const first = await harnessOf(input, receivers[0], dir);
    for (const [index, spans] of requests.entries())
      await first.give(exportRequest(spans, `request ${index} span`), spans);
    await first.end(isAborted ? 0 : FLUSH_MS);
    const { spans_accepted: accepted, shutdown } = first.counters;
    const spooled = first.exporter.spool?.waiting.spans ?? 0;
    const came = namesOf(receivers[0]);
    assert.ok(came.size >= accepted, `${came.size} came, ${accepted} were accepted`);
    if (!isAborted && input.spoolBytesMax === null) assert.equal(spooled, 0);
    if (spooled === 0) return accepted > 0 ? 'sent' : shutdown > 0 ? 'given up' : 'dropped';
    const second = await harnessOf(input, receivers[1], dir);
    // Until what lies on the disk is found, nothing waits.
    while (!second.isDrained || second.counters.spool_recovered < spooled) await new Promise(setImmediate);
    await second.end(FLUSH_MS);
    assert.equal(second.counters.spool_recovered, spooled);
    assert.equal(second.counters.spans_accepted, spooled, 'what was spooled is sent by the next run');
    assert.ok(namesOf(receivers[1]).size === spooled, 'and each span once');
    return 'sent by the next run';
  } finally {
    for (const receiver of receivers) await receiver.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const input = (protocol: ExportOptions['protocol']): fc.Arbitrary<Input> =>
  fc.record({
    protocol: fc.constant(protocol),
    behaviours: fc.array(protocol === 'grpc' ? grpcBehaviour : behaviour, { maxLength: 12 }),
    requests: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 15 }),
    queueBytesMax: fc.constantFrom(1, 2000, 8000, 40_000),
    spoolBytesMax: fc.option(fc.constantFrom(4000, 1 << 20)),
    compression: fc.constantFrom('none', 'gzip', 'zstd'),
    isAborted: fc.boolean(),
  });

export const EXPORT: FuzzTarget<Input> = {
  title: 'a backend that misbehaves in any order, at an export whose queue and spool are too small',
  // Reason: receivers, connections and time-outs for each.
  weight: 1 / 250,
  input: fc.oneof(input('grpc'), input('http/protobuf')),
  judge,
  expected: ['sent', 'dropped', 'sent by the next run'],
};
