// Encodes a container's attributes once, on the main thread; the pump only copies the bytes.
import type { AttributeValue, Attributes } from '../model/attributes.ts';
import { field, varintField } from './protobuf.ts';

/**
 * Bytes of one Resource: every request of the container repeats it, and labels are the container's own
 * choice. What would exceed it is left out, and counted in the Resource's dropped_attributes_count.
 */
export const RESOURCE_BYTES_MAX = 32 * 1024;

/**
 * Encodes an opentelemetry.proto.resource.v1.Resource, without tag and length, in the order given. `leftOut` attributes are
 * missing already, and are counted with those that find no room.
 */
export function encodeResource(attributes: Attributes, leftOut = 0): Uint8Array {
  const parts: number[][] = [];
  let bytes = 0;
  let droppedCount = leftOut;
  for (const [key, value] of Object.entries(attributes)) {
    const isHuge = typeof value === 'string' && value.length > RESOURCE_BYTES_MAX;
    const encoded = isHuge ? null : field(1, [...field(1, key), ...field(2, encodeValue(value))]);
    if (encoded === null || bytes + encoded.length > RESOURCE_BYTES_MAX) {
      droppedCount += 1;
      continue;
    }
    bytes += encoded.length;
    parts.push(encoded);
  }
  if (droppedCount > 0) parts.push(varintField(2, droppedCount));
  return Uint8Array.from(parts.flat());
}

/** Encodes an AnyValue; a number that is no integer becomes a string, as fdspan sends no doubles. */
function encodeValue(value: AttributeValue): number[] {
  if (typeof value === 'string') return field(1, value);
  if (typeof value === 'boolean') return varintField(2, value ? 1 : 0);
  if (typeof value === 'bigint') return varintField(3, value);
  if (typeof value === 'number')
    return Number.isInteger(value) ? varintField(3, value) : field(1, String(value));
  return field(
    5,
    value.flatMap((item) => field(1, field(1, item))),
  );
}
