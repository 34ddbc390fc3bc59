// What an OTLP/HTTP answer means (OTLP specification, "OTLP/HTTP Response").
import { isEncodingRefusal, type Encoding } from './encoding.ts';
import { readPartialSuccess, readRpcStatus } from './proto-reader.ts';
import { boundedText, retryable, RETRY_AFTER_MAX_MS, type SendResult } from './send-result.ts';
import { refused } from './transport.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  /** The body's first bytes; `isCut` when there were more than were read. */
  readonly body: Buffer;
  readonly isCut: boolean;
}

const RETRYABLE_STATUS = new Set([429, 502, 503, 504]);

export function judgeHttpAnswer(answer: HttpAnswer, encoding: Encoding): SendResult {
  const { status } = answer;
  if (status >= 200 && status < 300) return judgeSuccess(answer);
  const reason = `HTTP ${status}${describe(answer)}`;
  if (RETRYABLE_STATUS.has(status)) {
    const cure =
      status === 429
        ? 'the backend throttles: raise its limits or lower sampling.ratio'
        : 'check the backend';
    return retryable(reason, cure, parseRetryAfter(answer.retryAfter, Date.now()));
  }
  if (encoding !== 'identity' && (status === 415 || (status === 400 && isEncodingRefusal(reason)))) {
    return refused(reason, 'set export.compression to what the backend takes', { isEncodingRefused: true });
  }
  if (status === 401 || status === 403) {
    return refused(reason, 'check export.headers or export.headers_file', {
      isUnauthenticated: status === 401,
    });
  }
  if (status === 404 || status === 405 || (status >= 300 && status < 400)) {
    return refused(reason, "correct export.endpoint's path and port (usually :4318/v1/traces)");
  }
  if (status === 413) return refused(reason, "raise the backend's limit of a request's size");
  return refused(reason, "see the backend's log");
}

/** A 2xx is an acceptance whatever the body holds: sending again would make the spans double. */
function judgeSuccess(answer: HttpAnswer): SendResult {
  if (answer.body.length === 0) return { kind: 'success', oddity: null };
  if (answer.contentType.includes('json')) return { kind: 'success', oddity: null };
  const partial = answer.isCut ? null : readPartialSuccess(answer.body);
  if (partial === null) {
    return {
      kind: 'success',
      oddity: `HTTP ${answer.status} with a body that is no OTLP answer${describe(answer)}`,
    };
  }
  if (partial.rejectedSpans > 0) {
    return { kind: 'partial', rejectedSpans: partial.rejectedSpans, reason: boundedText(partial.reason) };
  }
  return { kind: 'success', oddity: partial.reason === '' ? null : boundedText(partial.reason) };
}

function describe(answer: HttpAnswer): string {
  const isProtobuf = answer.contentType.includes('protobuf');
  const text = isProtobuf ? (readRpcStatus(answer.body)?.message ?? '') : answer.body.toString('utf8');
  const bounded = boundedText(answer.location === undefined ? text : `redirects to ${answer.location}`);
  return bounded === '' ? '' : `: ${bounded}`;
}

/** Returns the wait of a Retry-After header (seconds or a date), bounded; null when there is none that can be read. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(waitMs) ? null : Math.min(Math.max(waitMs, 0), RETRY_AFTER_MAX_MS);
}
