// Reads what the trace limits ask of a request, in place: 10,000 spans a second for minutes can't all be decoded. A reader
// of the wire format alone, by the numbers of opentelemetry/proto/trace/v1/trace.proto; it shares nothing with the encoder.

export interface SpanSketch {
  /** Hexadecimal; a parent of '' is none. */
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly nameBytes: number;
  readonly spanBytes: number;
  /** Of the resource that it is sent with. */
  readonly resourceBytes: number;
  readonly attributes: number;
  readonly attributeBytesMax: number;
  readonly links: number;
}

const LENGTH_DELIMITED = 2;
const SPAN_ID_BYTES = 8;

/** Calls `take` for each span of an ExportTraceServiceRequest. */
export function sketchSpans(request: Buffer, take: (span: SpanSketch) => void): void {
  eachSpan(request, (begin, end, resourceBytes) => take(sketchOf(request, begin, end, resourceBytes)));
}

/** Calls `take` with where each span lies, and how large its resource is. */
function eachSpan(request: Buffer, take: (begin: number, end: number, resourceBytes: number) => void): void {
  eachField(request, 0, request.length, (field, begin, end) => {
    if (field !== 1) return;
    let resourceBytes = 0;
    eachField(request, begin, end, (inner, from, to) => {
      if (inner === 1) resourceBytes = to - from;
      if (inner !== 2) return;
      eachField(request, from, to, (innermost, spanBegin, spanEnd) => {
        if (innermost === 2) take(spanBegin, spanEnd, resourceBytes);
      });
    });
  });
}

/** Returns the ids of a request's spans but for roots, 8 bytes each. */
export function spanIdsOf(request: Buffer): Buffer {
  const ids: Buffer[] = [];
  eachSpan(request, (begin, end) => {
    let id = 0;
    let hasParent = false;
    eachField(request, begin, end, (field, from) => {
      if (field === 2) id = from;
      else if (field === 4) hasParent = true;
    });
    if (hasParent) ids.push(request.subarray(id, id + SPAN_ID_BYTES));
  });
  return Buffer.concat(ids);
}

function sketchOf(request: Buffer, begin: number, end: number, resourceBytes: number): SpanSketch {
  let [traceId, parentSpanId] = ['', ''];
  let [nameBytes, attributes, attributeBytesMax, links] = [0, 0, 0, 0];
  eachField(request, begin, end, (field, from, to) => {
    if (field === 1) traceId = request.toString('hex', from, to);
    else if (field === 4) parentSpanId = request.toString('hex', from, to);
    else if (field === 5) nameBytes = to - from;
    else if (field === 13) links += 1;
    else if (field === 9) {
      attributes += 1;
      attributeBytesMax = Math.max(attributeBytesMax, to - from);
    }
  });
  const spanBytes = end - begin;
  return { traceId, parentSpanId, nameBytes, spanBytes, resourceBytes, attributes, attributeBytesMax, links };
}

/** Calls `take` with the number and the bytes of each length-delimited field; others are passed over. */
function eachField(
  bytes: Buffer,
  begin: number,
  end: number,
  take: (field: number, begin: number, end: number) => void,
): void {
  let at = begin;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < end) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === LENGTH_DELIMITED) {
      const length = varint();
      take(Math.floor(tag / 8), at, at + length);
      at += length;
    } else if (wire === 0) varint();
    else at += wire === 1 ? 8 : 4;
  }
  if (at !== end) throw new Error(`a message of ${end - begin} bytes ends at ${at - begin}`);
}
