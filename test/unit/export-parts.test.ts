import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffMs } from '../../src/model/backoff.ts';
import { parseHeaders } from '../../src/export/credentials.ts';
import { firstEncoding } from '../../src/export/encoding.ts';
import { parseEndpoint } from '../../src/export/endpoint.ts';
import { ExportReport } from '../../src/export/export-report.ts';
import { judgeGrpcAnswer } from '../../src/export/grpc-answer.ts';
import { parseRetryAfter } from '../../src/export/http-answer.ts';
import { readFields, readPartialSuccess, readRpcStatus } from '../../src/export/proto-reader.ts';
import { boundedText, retryable } from '../../src/export/send-result.ts';
import { encodeResponse, encodeRpcStatus, ExportResponse, RpcStatus } from '../helpers/otlp-messages.ts';

test('an endpoint without a scheme is https, and without a path gets the path of traces', () => {
  const href = (text: string, protocol: 'grpc' | 'http/protobuf'): string =>
    parseEndpoint(text, protocol).url.href;
  assert.equal(href('collector:4317', 'grpc'), 'https://collector:4317/');
  assert.equal(href('10.0.0.1:4318', 'http/protobuf'), 'https://10.0.0.1:4318/v1/traces');
  assert.equal(href('http://collector:4318', 'http/protobuf'), 'http://collector:4318/v1/traces');
  assert.equal(href('http://collector:4318/', 'http/protobuf'), 'http://collector:4318/v1/traces');
  assert.equal(href('https://c/otlp/v1/traces', 'http/protobuf'), 'https://c/otlp/v1/traces');
});

test('an endpoint that cannot be sent to is refused with the reason', () => {
  for (const text of ['', 'http://', 'unix:///run/x.sock', 'ftp://c', 'http://c:99999']) {
    assert.throws(() => parseEndpoint(text, 'http/protobuf'), { code: 'BAD_ENDPOINT' }, text);
  }
  assert.throws(() => parseEndpoint('http://c:4317/v1/traces', 'grpc'), /has a path/);
});

test('an endpoint shows neither user nor password nor query', () => {
  const { display } = parseEndpoint('https://user:secret@c:4318/x?token=secret', 'http/protobuf');
  assert.equal(display, 'https://c:4318/x');
});

test('compression auto is none on loopback and zstd elsewhere', () => {
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]']) {
    assert.equal(
      firstEncoding('auto', parseEndpoint(`http://${host}:1`, 'grpc').isLoopback),
      'identity',
      host,
    );
  }
  assert.equal(firstEncoding('auto', parseEndpoint('http://127.example.com:1', 'grpc').isLoopback), 'zstd');
  assert.equal(firstEncoding('gzip', true), 'gzip');
});

test('backoff doubles up to its maximum, and is off by up to half of itself', () => {
  const middle = (failures: number): number => backoffMs(failures, 500, 30_000, () => 0.5);
  assert.deepEqual([1, 2, 3, 7, 8, 1e9].map(middle), [500, 1000, 2000, 30_000, 30_000, 30_000]);
  assert.equal(
    backoffMs(1, 500, 30_000, () => 0),
    250,
  );
});

test('Retry-After is seconds or a date, never negative, and bounded', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(parseRetryAfter('7', now), 7000);
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:00:09 GMT', now), 9000);
  assert.equal(parseRetryAfter('Thu, 01 Jan 2020 00:00:09 GMT', now), 0);
  assert.equal(parseRetryAfter('999999999', now), 300_000);
  assert.equal(parseRetryAfter('soon', now), null);
  assert.equal(parseRetryAfter(undefined, now), null);
});

test('the answers of OTLP are read as protobufjs writes them', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 53 - 1 }), fc.string(), (rejectedSpans, reason) => {
      const bytes = encodeResponse(rejectedSpans, reason);
      assert.deepEqual(readPartialSuccess(bytes), { rejectedSpans, reason });
    }),
  );
  assert.deepEqual(readRpcStatus(encodeRpcStatus(8, 'später', 1500)), {
    message: 'später',
    retryDelayMs: 1500,
  });
  assert.deepEqual(readRpcStatus(encodeRpcStatus(8, 'never')), { message: 'never', retryDelayMs: null });
  assert.deepEqual(readRpcStatus(encodeRpcStatus(8, '', 0)), { message: '', retryDelayMs: 0 });
});

test('no bytes make the reader throw, or read what protobufjs refuses as a whole', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      readFields(bytes);
      readPartialSuccess(bytes);
      readRpcStatus(bytes);
    }),
    { numRuns: 5000 },
  );
  assert.equal(readFields(Uint8Array.of(0x0a, 0x05, 1)), null, 'a length beyond the end');
  assert.equal(readFields(Uint8Array.of(0x08)), null, 'a varint without its value');
  assert.equal(readFields(new Uint8Array(11).fill(0xff)), null, 'an endless varint');
  assert.ok(ExportResponse.decode(encodeResponse()) && RpcStatus.decode(encodeRpcStatus(1, '')));
});

test('a grpc-status that is no number of a code is UNKNOWN, and not sent again', () => {
  const answer = {
    httpStatus: 200,
    message: 'x',
    detailsBase64: undefined,
    body: Buffer.alloc(0),
    isCut: false,
  };
  for (const status of ['', '00', '14.0', ' 14', '0xe', '1e1', '17', '-1', '9'.repeat(30)]) {
    const result = judgeGrpcAnswer({ ...answer, status }, 'identity');
    assert.equal(result.kind, 'permanent', status);
    assert.equal((result as { reason?: string }).reason, 'UNKNOWN: x');
  }
  assert.equal(judgeGrpcAnswer({ ...answer, status: '14' }, 'identity').kind, 'retryable');
});

test("a backend's text becomes one bounded line without control characters", () => {
  assert.equal(boundedText('a\r\n\x1b[31mb\u202ec\0'), 'a [31mb c');
  assert.ok(boundedText('x'.repeat(1e6)).length <= 301);
});

test("headers' files hold a header a line; a mistake is told without the secret", () => {
  assert.deepEqual(parseHeaders('# a\n\nAuthorization: Bearer a:b\r\nX-Scope: 1\n', 'f'), {
    authorization: 'Bearer a:b',
    'x-scope': '1',
  });
  for (const text of ['hunter2', ': hunter2', 'a b: hunter2', 'a: hunter2\x01']) {
    const error = assertThrown(() => parseHeaders(`ok: 1\n${text}`, '/etc/h'));
    assert.match(error.message, /\/etc\/h, line 2/);
    assert.doesNotMatch(error.message, /hunter2/);
  }
});

function assertThrown(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

test('an outage is told once, then once a minute with counts, and once when it is over', () => {
  let nowMs = 0;
  const lines: string[] = [];
  const note = (message: string, fields: Record<string, unknown>): void =>
    void lines.push(typeof fields.failures === 'number' ? `${message} ${fields.failures}` : message);
  const report = new ExportReport({ info: note, warn: note, error: note }, 'http://c', () => nowMs);
  const failure = retryable('refused', 'start it');
  for (; nowMs < 150_000; nowMs += 1000) report.failed(failure, 1, 1);
  report.worked();
  report.worked();
  assert.deepEqual(lines, [
    'the backend does not take spans; they wait and are sent again',
    'the backend still does not take spans 61',
    'the backend still does not take spans 121',
    'the backend takes spans again 150',
  ]);
});

test('an outage that changes its cause tells the new one at once, with its cure, and each only once', () => {
  const lines: unknown[] = [];
  const note = (_message: string, fields: Record<string, unknown>): void => void lines.push(fields.reason);
  const report = new ExportReport({ info: note, warn: note, error: note }, 'http://c', () => 0);
  for (let turn = 0; turn < 100; turn += 1) {
    report.failed(retryable('read ECONNRESET', 'see the reason'), 1, 1);
    report.failed(retryable('getaddrinfo ENOTFOUND c', 'correct the host name'), 1, 1);
  }
  assert.deepEqual(lines, ['read ECONNRESET', 'getaddrinfo ENOTFOUND c']);
});

test('a backend that puts a new text into each refusal floods neither log nor memory', () => {
  const lines: Record<string, unknown>[] = [];
  const note = (_message: string, fields: Record<string, unknown>): void => void lines.push(fields);
  const report = new ExportReport({ info: note, warn: note, error: note }, 'http://c', () => 0);
  for (let index = 0; index < 10_000; index += 1)
    report.trouble('rejected', `request ${index} is bad`, {}, 10);
  assert.equal(lines.length, 1);
  for (let index = 0; index < 10_000; index += 1) report.trouble('rejected', 'x'.repeat(index), {}, 10);
  assert.ok(lines.length <= 66);
});
