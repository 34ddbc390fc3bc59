// What the exporter asks of a transport: one send, one result, whatever goes wrong.
import type { Encoding } from './encoding.ts';
import { permanent, retryable, type Permanent, type Retryable, type SendResult } from './send-result.ts';

export interface Transport {
  /** Sends one request and reads its answer. Never rejects; an abort is a retryable result. */
  send(body: Buffer, encoding: Encoding, signal: AbortSignal): Promise<SendResult>;
  /** Closes idle connections; requests under way end by their own signal. */
  close(): void;
}

const NO_FLAGS = { isEncodingRefused: false, isUnauthenticated: false };

/** Returns a refusal of the spans themselves. */
export function refused(reason: string, cure: string, flags: Partial<typeof NO_FLAGS> = {}): Permanent {
  return permanent(reason, cure, { ...NO_FLAGS, ...flags });
}

const CURES: readonly (readonly [RegExp, string])[] = [
  [/^PROXY/, 'correct HTTPS_PROXY, HTTP_PROXY or NO_PROXY, or check the proxy'],
  [/ECONNREFUSED/, 'start the backend, or correct export.endpoint'],
  [/ENOTFOUND|EAI_AGAIN/, 'correct the host name in export.endpoint, or the name server'],
  [/ENETUNREACH|EHOSTUNREACH/, 'check the route to the host in export.endpoint'],
  [/TIMEOUT|ETIMEDOUT/, 'check the backend and its load balancer; export.timeout is the limit'],
  [/ALTNAME/, "use the host name that the backend's certificate names in export.endpoint"],
  [/CERT_HAS_EXPIRED/, "renew the backend's certificate"],
  [
    /SELF_SIGNED|UNABLE_TO_|CERT_UNTRUSTED/,
    "set export.tls.ca to the authority of the backend's certificate",
  ],
  [
    /CERTIFICATE_REQUIRED|ALERT|BAD_CERTIFICATE/i,
    'set export.tls.cert and export.tls.key to a certificate that the backend takes',
  ],
  [/EPROTO|WRONG_VERSION|ERR_SSL/, 'the port may not speak TLS: try http:// in export.endpoint'],
  [
    /HPE_|ERR_HTTP2|Protocol error/,
    'the port may speak the other protocol: see export.protocol (grpc 4317, http/protobuf 4318)',
  ],
  [/KEY_VALUES_MISMATCH/, 'set export.tls.cert and export.tls.key to a certificate and its own key'],
  [/BAD_CREDENTIAL/, 'make the file readable for fdspan, in the form that the documentation tells'],
];

/** Returns what an error of the connection means: the request may be sent again. */
export function connectionFailure(error: unknown): Retryable {
  const { code = '', message = String(error), cause } = error as NodeJS.ErrnoException;
  const inner = cause as NodeJS.ErrnoException | undefined;
  const errors = (error as AggregateError).errors as NodeJS.ErrnoException[] | undefined;
  const text = message || errors?.map((each) => each.message).join(', ') || code;
  const all = [code, text, inner?.code, inner?.message].join(' ');
  const cure =
    CURES.find(([pattern]) => pattern.test(all))?.[1] ?? 'see the reason; the request is sent again';
  return retryable(inner?.message ? `${text}: ${inner.message}` : text, cure);
}

/** The error of a request that had no answer in time. */
export function timeoutError(timeoutMs: number): Error {
  return Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'TIMEOUT' });
}
