// What a gRPC answer means (gRPC over HTTP/2, "Responses"; OTLP specification, "OTLP/gRPC Response").
import { isEncodingRefusal, type Encoding } from './encoding.ts';
import { readPartialSuccess, readRpcStatus } from './proto-reader.ts';
import { boundedText, retryable, RETRY_AFTER_MAX_MS, type SendResult } from './send-result.ts';
import { refused } from './transport.ts';

export interface GrpcAnswer {
  /** The status of the HTTP/2 response. */
  readonly httpStatus: number;
  /** `grpc-status`, `grpc-message` and `grpc-status-details-bin` of the trailers or of a trailers-only answer. */
  readonly status: string | undefined;
  readonly message: string | undefined;
  readonly detailsBase64: string | undefined;
  /** The frames' bytes; `isCut` when there were more than were read. */
  readonly body: Buffer;
  readonly isCut: boolean;
}

const CODE_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

const RETRYABLE_CODES = new Set([
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** What a proxy's HTTP status means where there is no grpc-status (grpc, "http-grpc-status-mapping"). */
const CODE_OF_HTTP_STATUS: Readonly<Record<number, string>> = {
  400: 'INTERNAL',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'UNIMPLEMENTED',
  429: 'UNAVAILABLE',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'UNAVAILABLE',
};

export function judgeGrpcAnswer(answer: GrpcAnswer, encoding: Encoding): SendResult {
  if (answer.status === '0') return judgeSuccess(answer);
  const isProxys = answer.status === undefined && answer.httpStatus !== 200;
  if (answer.status === undefined && !isProxys) {
    return retryable('the answer ended without a grpc-status', 'check the backend and what lies before it');
  }
  const code = isProxys
    ? (CODE_OF_HTTP_STATUS[answer.httpStatus] ?? 'UNKNOWN')
    : (CODE_NAMES.find((_name, code) => code > 0 && String(code) === answer.status) ?? 'UNKNOWN');
  const details =
    answer.detailsBase64 === undefined ? null : readRpcStatus(Buffer.from(answer.detailsBase64, 'base64'));
  const text = boundedText(decodeMessage(answer.message) || (details?.message ?? ''));
  const shown = isProxys ? `HTTP ${answer.httpStatus} (${code})` : code;
  const reason = text === '' ? shown : `${shown}: ${text}`;
  const delayMs = details?.retryDelayMs ?? null;
  if (RETRYABLE_CODES.has(code)) return retryable(reason, 'check the backend', boundedDelay(delayMs));
  if (code === 'RESOURCE_EXHAUSTED' && delayMs !== null) {
    return retryable(
      reason,
      'the backend throttles: raise its limits or lower sampling.ratio',
      boundedDelay(delayMs),
    );
  }
  return judgeRefusal(code, reason, encoding);
}

function judgeRefusal(code: string, reason: string, encoding: Encoding): SendResult {
  const canBeEncoding = code === 'UNIMPLEMENTED' || code === 'INTERNAL' || code === 'INVALID_ARGUMENT';
  if (encoding !== 'identity' && canBeEncoding && isEncodingRefusal(reason)) {
    return refused(reason, 'set export.compression to what the backend takes', { isEncodingRefused: true });
  }
  if (code === 'UNAUTHENTICATED' || code === 'PERMISSION_DENIED') {
    return refused(reason, 'check export.headers or export.headers_file', {
      isUnauthenticated: code === 'UNAUTHENTICATED',
    });
  }
  if (code === 'UNIMPLEMENTED')
    return refused(reason, "correct export.endpoint's port (usually 4317), or export.protocol");
  if (code === 'RESOURCE_EXHAUSTED')
    return refused(reason, "raise the backend's limits, of a request's size too");
  return refused(reason, "see the backend's log");
}

/** OK is an acceptance whatever the body holds: sending again would make the spans double. */
function judgeSuccess(answer: GrpcAnswer): SendResult {
  const { body } = answer;
  const isOneFrame = body.length >= 5 && body[0] === 0 && body.readUInt32BE(1) === body.length - 5;
  const partial = isOneFrame ? readPartialSuccess(body.subarray(5)) : null;
  if (partial === null) return { kind: 'success', oddity: 'OK with a body that is no OTLP answer' };
  if (partial.rejectedSpans > 0) {
    return { kind: 'partial', rejectedSpans: partial.rejectedSpans, reason: boundedText(partial.reason) };
  }
  return { kind: 'success', oddity: partial.reason === '' ? null : boundedText(partial.reason) };
}

function boundedDelay(delayMs: number | null): number | null {
  return delayMs === null ? null : Math.min(delayMs, RETRY_AFTER_MAX_MS);
}

/** grpc-message is percent-encoded UTF-8; a broken one is shown as it came. */
function decodeMessage(message: string | undefined): string {
  if (message === undefined) return '';
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
