// What a backend answers: any bytes and damaged real answers, with any status and headers. The expectations are those of
// the OTLP and gRPC specifications, written down here once more.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Encoding } from '../../../src/export/encoding.ts';
import { judgeGrpcAnswer, type GrpcAnswer } from '../../../src/export/grpc-answer.ts';
import { judgeHttpAnswer, type HttpAnswer } from '../../../src/export/http-answer.ts';
import { readPartialSuccess, readRpcStatus } from '../../../src/export/proto-reader.ts';
import type { SendResult } from '../../../src/export/send-result.ts';
import { damaged } from '../../helpers/damage.ts';
import { encodeResponse, encodeRpcStatus, ExportResponse, RpcStatus } from '../../helpers/otlp-messages.ts';
import type { FuzzTarget } from '../fuzz.ts';

const ANSWER_BYTES_MAX = 64 * 1024;
const TEXT_MAX = 301;
const DELAY_MS_MAX = 300_000;

export const RESPONSES = [
  encodeResponse(),
  encodeResponse(3, 'too many attributes'),
  encodeResponse(2 ** 40, ''),
  encodeResponse(0, 'sampled at the gateway'),
];
export const STATUSES = [
  encodeRpcStatus(8, 'over the limit', 1500),
  encodeRpcStatus(14, 'später', 0),
  encodeRpcStatus(3, 'no such tenant'),
];
const TEXTS = ['', '{"partialSuccess":{}}', '<html>welcome to the portal</html>'].map((text) =>
  Buffer.from(text),
);

const anyBytes = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes));
const large = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.nat({ max: ANSWER_BYTES_MAX }))
  .map(([fill, bytes]) => Buffer.alloc(bytes, fill));
const body = fc.oneof(
  { weight: 20, arbitrary: damaged([...RESPONSES, ...STATUSES, ...TEXTS]) },
  { weight: 10, arbitrary: anyBytes },
  { weight: 1, arbitrary: large },
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '%',
    '%zz',
    'sp%C3%A4ter',
    'gzip isn\u2019t known',
    'x'.repeat(5000),
    '\ud800',
    '\u202e\0\x1b[2J',
  ),
);
const encoding = fc.constantFrom<Encoding[]>('identity', 'gzip', 'zstd');

/** What every result must be, whatever it came of. */
function assertBounded(result: SendResult): void {
  const texts = [
    ...('reason' in result ? [result.reason] : []),
    ...('oddity' in result && result.oddity !== null ? [result.oddity] : []),
  ];
  for (const each of texts) {
    // A backend's text with what fdspan says before it.
    assert.ok(each.length <= TEXT_MAX + 100, `${each.length} characters`);
    assert.doesNotMatch(each, /\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u);
  }
  if (result.kind === 'partial') {
    assert.ok(Number.isSafeInteger(result.rejectedSpans) && result.rejectedSpans > 0);
  }
  if (result.kind !== 'retryable' || result.retryAfterMs === null) return;
  assert.ok(result.retryAfterMs >= 0 && result.retryAfterMs <= DELAY_MS_MAX, String(result.retryAfterMs));
}

/** Bytes that protobufjs writes as they came are read as it reads them. */
function assertReadAlike(bytes: Uint8Array): void {
  const partial = readPartialSuccess(bytes);
  const status = readRpcStatus(bytes);
  const response = canonical(ExportResponse, bytes)?.partialSuccess as
    { rejectedSpans: { toString(): string }; errorMessage: string } | null | undefined;
  if (response) {
    const rejected = BigInt(response.rejectedSpans.toString());
    const known =
      rejected >= 0n && rejected <= Number.MAX_SAFE_INTEGER ? Number(rejected) : Number.MAX_SAFE_INTEGER;
    assert.deepEqual(partial, { rejectedSpans: known, reason: response.errorMessage });
  }
  const read = canonical(RpcStatus, bytes);
  if (read !== null) assert.equal(status?.message, read.message);
}

function canonical(type: typeof ExportResponse, bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const message = type.decode(bytes);
    return Buffer.from(type.encode(message).finish()).equals(bytes) ? message : null;
  } catch {
    return null;
  }
}

/** OTLP: 429, 502, 503 and 504 are sent again; another 2xx is yes; everything else is no. */
function expectedOfHttp(status: number): readonly SendResult['kind'][] {
  if (status >= 200 && status < 300) return ['success', 'partial'];
  return [429, 502, 503, 504].includes(status) ? ['retryable'] : ['permanent'];
}

export const HTTP_ANSWER: FuzzTarget<{ answer: HttpAnswer; encoding: Encoding }> = {
  title: 'OTLP/HTTP answers of any status, headers and bytes',
  input: fc.record({
    encoding,
    answer: fc.record({
      status: fc.oneof(
        fc.constantFrom(200, 200, 202, 301, 400, 401, 404, 413, 415, 429, 503),
        fc.nat({ max: 999 }),
      ),
      contentType: fc.oneof(
        fc.constantFrom('application/x-protobuf', 'application/json', 'text/html', ''),
        text,
      ),
      retryAfter: fc.oneof(
        fc.constantFrom(undefined, '', '0', '7', '-1', '1e9', '9'.repeat(400), ' 5 ', '0x10', '1.5'),
        fc.constantFrom('Thu, 01 Jan 2099 00:00:00 GMT', '(((((((', 'Invalid Date', '275760-09-13', '1970'),
        text,
      ),
      location: fc.option(text, { nil: undefined }),
      body,
      isCut: fc.boolean(),
    }),
  }),
  judge: ({ answer, encoding: sent }) => {
    const result = judgeHttpAnswer(answer, sent);
    assert.ok(expectedOfHttp(answer.status).includes(result.kind), `${answer.status} is ${result.kind}`);
    assertBounded(result);
    assertReadAlike(answer.body);
    return result.kind;
  },
  expected: ['success', 'partial', 'retryable', 'permanent'],
};

/** OTLP/gRPC: these are sent again; RESOURCE_EXHAUSTED (8) only when the answer says when. */
const RETRYABLE_CODES = ['1', '4', '10', '11', '14', '15'];
/** gRPC, "http-grpc-status-mapping": what is UNAVAILABLE where there is no grpc-status. */
const UNAVAILABLE_STATUSES = [429, 502, 503, 504];

function expectedOfGrpc({ status, httpStatus }: GrpcAnswer): readonly SendResult['kind'][] {
  if (status === '0') return ['success', 'partial'];
  if (status === '8') return ['retryable', 'permanent'];
  if (status !== undefined) return RETRYABLE_CODES.includes(status) ? ['retryable'] : ['permanent'];
  return httpStatus === 200 || UNAVAILABLE_STATUSES.includes(httpStatus) ? ['retryable'] : ['permanent'];
}

const frame = fc
  .tuple(body, fc.constantFrom(0, 0, 0, 0, 1, 255), fc.integer({ min: -2, max: 2 }), fc.nat({ max: 9 }))
  .map(([message, flag, offBy, choice]) => {
    const prefix = Buffer.alloc(5);
    prefix[0] = flag;
    prefix.writeUInt32BE(Math.max(0, message.length + (choice === 0 ? offBy : 0)), 1);
    return choice === 1 ? message : Buffer.concat([prefix, message]);
  });

export const GRPC_ANSWER: FuzzTarget<{ answer: GrpcAnswer; encoding: Encoding }> = {
  title: 'OTLP/gRPC answers of any status, trailers and bytes',
  input: fc.record({
    encoding,
    answer: fc.record({
      httpStatus: fc.oneof(fc.constant(200), fc.constant(200), fc.nat({ max: 999 })),
      status: fc.oneof(
        fc.constant('0'),
        fc.nat({ max: 18 }).map(String),
        fc.constantFrom(
          undefined,
          '',
          '00',
          '-1',
          ' 14',
          '0xe',
          '1e1',
          '14.0',
          'NaN',
          '9'.repeat(30),
          '__proto__',
        ),
      ),
      message: fc.option(text, { nil: undefined }),
      detailsBase64: fc.option(
        fc.oneof(
          body.map((bytes) => bytes.toString('base64')),
          damaged(STATUSES, 1).map((bytes) => bytes.toString('base64')),
          text,
        ),
        { nil: undefined },
      ),
      body: frame,
      isCut: fc.boolean(),
    }),
  }),
  judge: ({ answer, encoding: sent }) => {
    const result = judgeGrpcAnswer(answer, sent);
    assert.ok(expectedOfGrpc(answer).includes(result.kind), `${answer.status} is ${result.kind}`);
    assertBounded(result);
    if (answer.detailsBase64 !== undefined) assertReadAlike(Buffer.from(answer.detailsBase64, 'base64'));
    return result.kind;
  },
  expected: ['success', 'partial', 'retryable', 'permanent'],
};
