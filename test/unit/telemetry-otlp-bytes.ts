// Encodes OTLP requests with the whole published message layout, by protobufjs: independent of fdspan's
// own encoder and of the descriptor that it decodes with.
import { ExportRequest } from '../helpers/otlp-messages.ts';

function attributes(values: Readonly<Record<string, string | number>>) {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: value },
  }));
}

export interface SpanSource {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
}

/** Returns one request with one resource. */
export function encodeRequest(
  resource: Readonly<Record<string, string | number>>,
  spans: readonly SpanSource[],
): Uint8Array {
  const message = ExportRequest.fromObject({
    resourceSpans: [
      {
        resource: { attributes: attributes(resource) },
        scopeSpans: [
          {
            scope: { name: 'fdspan', version: '1' },
            spans: spans.map((span) => ({
              traceId: new Uint8Array(16).fill(1),
              spanId: new Uint8Array(8).fill(2),
              name: 'open x',
              kind: 1,
              startTimeUnixNano: span.startNs.toString(),
              endTimeUnixNano: span.endNs.toString(),
              attributes: attributes(span.attributes),
            })),
          },
        ],
      },
    ],
  });
  return ExportRequest.encode(message).finish();
}
