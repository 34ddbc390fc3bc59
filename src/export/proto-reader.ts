// Reads the few protobuf answers of OTLP: ExportTraceServiceResponse and google.rpc.Status. The bytes
// come from outside: nothing here may throw, or read past the end.

export interface ProtoField {
  readonly number: number;
  /** The value of a varint, as a safe integer at most; 0 for the other wire types. */
  readonly varint: number;
  /** The content of a length-delimited field; null for the other wire types. */
  readonly bytes: Uint8Array | null;
}

/** Returns the fields of a message in order; null when the bytes are no protobuf message. */
export function readFields(message: Uint8Array): ProtoField[] | null {
  const fields: ProtoField[] = [];
  let at = 0;
  while (at < message.length) {
    const tag = readVarint(message, at);
    if (tag === null) return null;
    at = tag.end;
    const number = Math.floor(tag.value / 8);
    if (number === 0) return null;
    const wireType = tag.value % 8;
    if (wireType === 0) {
      const value = readVarint(message, at);
      if (value === null) return null;
      at = value.end;
      fields.push({ number, varint: value.value, bytes: null });
    } else if (wireType === 2) {
      const length = readVarint(message, at);
      if (length === null || length.end + length.value > message.length) return null;
      at = length.end + length.value;
      fields.push({ number, varint: 0, bytes: message.subarray(length.end, at) });
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4;
      if (at > message.length) return null;
      fields.push({ number, varint: 0, bytes: null });
    } else {
      return null;
    }
  }
  return fields;
}

/** Negative numbers and those above 2^53 come out as the greatest safe integer: no count is that large. */
function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let index = 0; index < 10; index += 1) {
    const at = start + index;
    if (at >= bytes.length) return null;
    value += (bytes[at] & 0x7f) * 2 ** (7 * index);
    if (bytes[at] < 0x80) return { value: Math.min(value, Number.MAX_SAFE_INTEGER), end: at + 1 };
  }
  return null;
}

const decoder = new TextDecoder();

/** Returns the partial success of an ExportTraceServiceResponse; null when the bytes are none. */
export function readPartialSuccess(message: Uint8Array): { rejectedSpans: number; reason: string } | null {
  const response = readFields(message);
  if (response === null) return null;
  const result = { rejectedSpans: 0, reason: '' };
  for (const field of response) {
    if (field.number !== 1) continue;
    const partial = field.bytes && readFields(field.bytes);
    if (!partial) return null;
    for (const { number, varint, bytes } of partial) {
      if (number === 1) result.rejectedSpans = varint;
      if (number === 2 && bytes) result.reason = decoder.decode(bytes);
    }
  }
  return result;
}

export interface RpcStatus {
  readonly message: string;
  /** google.rpc.RetryInfo.retry_delay, when the details hold one. */
  readonly retryDelayMs: number | null;
}

/** Returns what a google.rpc.Status says; null when the bytes are none. */
export function readRpcStatus(bytes: Uint8Array): RpcStatus | null {
  const status = readFields(bytes);
  if (status === null) return null;
  let message = '';
  let retryDelayMs: number | null = null;
  for (const field of status) {
    if (field.number === 2 && field.bytes) message = decoder.decode(field.bytes);
    if (field.number === 3 && field.bytes) retryDelayMs ??= readRetryDelay(field.bytes);
  }
  return { message, retryDelayMs };
}

/** Reads google.protobuf.Any → RetryInfo → Duration. An empty RetryInfo is a delay of 0: the request may be sent again. */
function readRetryDelay(any: Uint8Array): number | null {
  const fields = readFields(any) ?? [];
  const type = fields.find((field) => field.number === 1)?.bytes;
  if (!type || !decoder.decode(type).endsWith('/google.rpc.RetryInfo')) return null;
  const info = fields.find((field) => field.number === 2)?.bytes;
  const duration = info && readFields(info)?.find((field) => field.number === 1)?.bytes;
  if (!duration) return 0;
  const parts = readFields(duration) ?? [];
  const seconds = parts.find((field) => field.number === 1)?.varint ?? 0;
  const nanoseconds = parts.find((field) => field.number === 2)?.varint ?? 0;
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}
