// Stage encode against a model of it (test/helpers/pair-model.ts): what protobufjs decodes of the sealed
// requests is what was put in, once each, in order, under the container's resource of that moment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkRecord } from '../../src/decode/check-record.ts';
import { OpenRequest, REQUEST_BYTES_MIN, type RequestOptions } from '../../src/encode/request.ts';
import { RESOURCE_BYTES_MAX } from '../../src/encode/resource.ts';
import { SpanArena } from '../../src/encode/span-arena.ts';
import { TraceCursor } from '../../src/model/trace-cursor.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import { decodeSpans, ExportRequest, type ReceivedSpan } from '../helpers/otlp-messages.ts';
import {
  flagsOf,
  KNOWN_ERRNOS,
  NameModel,
  recordOf,
  spanOf,
  type ExpectedSpan,
  type Level,
  type Pair,
} from '../helpers/pair-model.ts';

const CONTAINERS_MAX = 3;
const Resource = ExportRequest.root.lookupType('opentelemetry.proto.resource.v1.Resource');

const u32 = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 1, 0x7fffffff, 0xffffffff));
const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
);
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc
    .oneof(
      fc.constantFrom(
        '/',
        '/var/',
        'a',
        'log',
        '1234',
        'f',
        '/deadbeef1',
        '-',
        '.',
        'é',
        '\u{1f600}',
        '\\xff',
      ),
      fc.uuid(),
      fc.stringMatching(/^[0-9a-f]{7,12}$/),
      fc.string({ unit: 'binary', maxLength: 6 }),
    )
    .map((text) => Buffer.from(text)),
);
const bytesOf = (lengthMax: number, piecesMax: number): fc.Arbitrary<Uint8Array> =>
  fc
    .array(piece, { maxLength: piecesMax })
    .map((pieces) => Uint8Array.from(Buffer.concat(pieces)).slice(0, lengthMax));
const path = fc.oneof(
  { weight: 8, arbitrary: bytesOf(4096, 12) },
  { weight: 1, arbitrary: fc.constantFrom(0x61, 0xff, 0x2f).map((byte) => new Uint8Array(4096).fill(byte)) },
  // Names about their limit of 255 bytes.
  { weight: 2, arbitrary: fc.integer({ min: 240, max: 260 }).map((n) => Buffer.alloc(n, '/abc/defg')) },
);
// Few, so that one execution opens several files.
const execution = fc.constantFrom(1n, 7n, 2n ** 40n, 2n ** 64n - 1n);
const pair: fc.Arbitrary<Pair> = fc.record({
  reason: fc.nat({ max: 8 }),
  flags: fc.nat({ max: 63 }),
  executable: bytesOf(255, 6),
  path,
  comm: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  openedBootNs: u64,
  closedBootNs: u64,
  openDurationNs: u64,
  inode: u64,
  sizeBytes: u64,
  io: fc.record({ readBytes: u64, writtenBytes: u64, reads: u32, writes: u32 }),
  tid: u32,
  vpid: u32,
  parentPid: u32,
  userId: u32,
  fd: fc.oneof(fc.nat(), fc.constantFrom(0, ...KNOWN_ERRNOS.map((errno) => -errno))),
  openFlags: u32,
  mode: u32,
  device: u32,
  namespaces: fc.array(fc.constantFrom(0, 1, 4026531840, 0xffffffff), { minLength: 7, maxLength: 7 }),
  execution,
  pid: u32,
  sliceBegunBootNs: u64,
  random: u32,
});

/** One more slot than there are: its pairs are refused. */
const slot = fc.nat({ max: CONTAINERS_MAX + 1 });
type Step = { slot: number; pair: Pair } | { slot: number; labelBytes: number; namespaces: number[] };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ slot, pair }) },
  {
    weight: 1,
    arbitrary: fc.record({
      slot,
      labelBytes: fc.constantFrom(0, 100, RESOURCE_BYTES_MAX - 100),
      namespaces: fc.array(fc.constantFrom(0, 1, 4026531840), { minLength: 7, maxLength: 7 }),
    }),
  },
);

interface Expected {
  readonly slot: number;
  /** Which update of the container's resource holds; 0: the first one. */
  readonly version: number;
  readonly pair: Pair;
  readonly span: ExpectedSpan;
  /** Of its step, told to the encoder as part of the trace's and the root's id. */
  readonly index: number;
}

type Limits = Pick<
  RequestOptions,
  'requestBytesMax' | 'requestSpansMax' | 'spanNamesMax' | 'spanName' | 'hasIoTotals'
>;

function encode(
  steps: readonly Step[],
  level: Level,
  offsetNs: bigint,
  limits: Limits,
): { requests: Uint8Array[]; expected: Expected[] } {
  const request = new OpenRequest({
    ...limits,
    attributes: level,
    containersMax: CONTAINERS_MAX,
    scopeVersion: '9.9.9',
    traceGroupBy: 'process',
  });
  const trace = new TraceCursor();
  trace.offsetLo = Number(offsetNs & 0xffffffffn) | 0;
  trace.offsetHi = Number(offsetNs >> 32n) | 0;
  const out = new SpanArena(Buffer.alloc(limits.requestBytesMax));
  const requests: Uint8Array[] = [];
  const seal = (): void => {
    const spans = request.spanCount;
    const sealed = Uint8Array.from(out.bytes.subarray(0, request.seal(out)));
    assert.ok(sealed.length <= limits.requestBytesMax && spans <= limits.requestSpansMax);
    const received = decodeSpans(sealed);
    assert.equal(received.length, spans);
    const containersOfRequest = new Set(received.map(({ resource }) => resource.attributes.slot));
    const { resourceSpans } = ExportRequest.decode(sealed) as unknown as { resourceSpans: unknown[] };
    assert.equal(resourceSpans.length, containersOfRequest.size);
    requests.push(sealed);
  };
  const containers = Array.from({ length: CONTAINERS_MAX + 1 }, () => ({
    version: 0,
    namespaces: [0, 0, 0, 0, 0, 0, 0] as readonly number[],
    names: limits.spanName === 'template' ? new NameModel(limits.spanNamesMax) : null,
  }));
  containers.forEach(({ namespaces }, of) => {
    request.update({
      slot: of,
      resourceBytes: resourceOf(of, 0, 0),
      namespaces: Uint32Array.from(namespaces),
    });
  });
  const expected: Expected[] = [];
  const cursor = new RecordCursor();
  steps.forEach((taken, index) => {
    const container = containers.at(taken.slot);
    if (!('pair' in taken)) {
      const { slot: to, labelBytes, namespaces } = taken;
      request.update({
        slot: to,
        resourceBytes: resourceOf(to, index + 1, labelBytes),
        namespaces: Uint32Array.from(namespaces),
      });
      if (container !== undefined) Object.assign(container, { version: index + 1, namespaces });
      return;
    }
    const record = recordOf(taken.pair);
    cursor.bytes = new Uint8Array((record.length + 7) & ~7);
    cursor.bytes.set(record);
    cursor.words = new Uint32Array(cursor.bytes.buffer);
    cursor.length = record.length;
    assert.equal(checkRecord(cursor), 1);
    if (!request.hasRoom()) seal();
    assert.ok(request.hasRoom(), 'an empty request has room for any span');
    const { execution: ofExecution } = taken.pair;
    trace.trace0 = Number(ofExecution & 0xffffffffn) | 0;
    trace.trace1 = Number(ofExecution >> 32n) | 0;
    trace.trace2 = index;
    trace.trace3 = taken.pair.random | 0;
    trace.rootLo = index;
    trace.rootHi = -1;
    assert.equal(request.add(cursor, taken.slot, trace), container !== undefined);
    if (container === undefined) return;
    const { version, namespaces, names } = container;
    const span = spanOf(taken.pair, { level, hasIoTotals: limits.hasIoTotals, offsetNs, namespaces, names });
    expected.push({ slot: taken.slot, version, pair: taken.pair, span, index });
  });
  if (request.spanCount > 0) seal();
  return { requests, expected };
}

function resourceOf(ofSlot: number, version: number, labelBytes: number): Uint8Array {
  const attributes = [
    { key: 'slot', value: { intValue: ofSlot } },
    { key: 'version', value: { intValue: version } },
    { key: 'label', value: { stringValue: 'x'.repeat(labelBytes) } },
  ];
  return Resource.encode(Resource.fromObject({ attributes })).finish();
}

function assertSpan(
  received: ReceivedSpan,
  { pair: given, span: expected, version, slot: of }: Expected,
): void {
  const { attributes, ...span } = received.span;
  const { 'fdspan.open.flags': flags, ...others } = attributes;
  assert.deepEqual({ ...span, attributes: others }, { ...span, ...expected });
  assert.equal(flagsOf(flags as string), given.openFlags, `flags ${flags as string}`);
  assert.deepEqual(span.links, []);
  const { slot: ofSlot, version: ofVersion } = received.resource.attributes;
  assert.deepEqual([ofSlot, ofVersion], [of, version]);
  assert.deepEqual(received.scope, { name: 'fdspan', version: '9.9.9' });
}

/** Each container's spans in the order in which its pairs came, over all requests; none else. */
function assertSpans(received: readonly ReceivedSpan[], expected: readonly Expected[]): void {
  assert.equal(received.length, expected.length);
  for (let of = 0; of <= CONTAINERS_MAX; of += 1) {
    const wanted = expected.filter((it) => it.slot === of);
    const got = received.filter(({ resource }) => resource.attributes.slot === of);
    assert.equal(got.length, wanted.length, `spans of container ${of}`);
    got.forEach((it, at) => {
      assertSpan(it, wanted[at]);
      const { execution: ofExecution, random } = wanted[at].pair;
      const { traceId, spanId, parentSpanId } = it.span;
      const ids = Buffer.alloc(24);
      ids.writeBigUInt64LE(ofExecution);
      ids.writeUInt32LE(wanted[at].index, 8);
      ids.writeUInt32LE(random, 12);
      ids.writeUInt32LE(wanted[at].index, 16);
      ids.writeInt32LE(-1, 20);
      assert.equal(traceId + parentSpanId, ids.toString('hex'));
      assert.match(spanId, /^(?!0{16})[0-9a-f]{16}$/);
    });
  }
  assert.equal(new Set(received.map(({ span }) => span.spanId)).size, received.length);
}

for (const level of ['lean', 'standard', 'full'] as const)
  test(`what a decoder makes of the sealed requests is what was put in, ${level}`, () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        u64,
        fc.record({
          requestBytesMax: fc.integer({ min: REQUEST_BYTES_MIN, max: 2 * REQUEST_BYTES_MIN }),
          requestSpansMax: fc.integer({ min: 2, max: 24 }),
          spanNamesMax: fc.integer({ min: 1, max: 5 }),
          spanName: fc.constantFrom<Limits['spanName'][]>('template', 'template', 'template', 'operation'),
          hasIoTotals: fc.boolean(),
        }),
        (steps, offsetNs, limits) => {
          const { requests, expected } = encode(steps, level, offsetNs, limits);
          const received = requests.flatMap(decodeSpans);
          assertSpans(received, expected);
        },
      ),
      { numRuns: 60 },
    );
  });

test('open flags stay exact when a program makes up more values than are kept as text', () => {
  const [plain] = fc.sample(pair, { numRuns: 1, seed: 7 });
  const steps = Array.from({ length: 700 }, (_, at) => ({
    slot: 1,
    pair: { ...plain, openFlags: (at * 0x9e3779b1) >>> 0 },
  }));
  const limits = {
    requestBytesMax: 2 << 20,
    requestSpansMax: 2048,
    spanNamesMax: 5,
    spanName: 'template',
  } as const;
  const { requests, expected } = encode(steps, 'standard', 0n, limits);
  const received = requests.flatMap(decodeSpans);
  assertSpans(received, expected);
  const named = received.filter(({ span }) =>
    (span.attributes['fdspan.open.flags'] as string).startsWith('O_'),
  );
  assert.ok(named.length > 0 && named.length < 700, `${named.length} of 700 as names`);
});
