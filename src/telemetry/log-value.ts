// What a log field becomes in JSON: bigints, errors with their causes, and values that JSON can't hold.

/** Reason: a path has at most 4,096 bytes, four times that when escaped; more isn't read in a log. */
export const FIELD_CHARS_MAX = 16_384;

/** Reason: a chain of causes longer than this is a loop, or tells nothing more. */
const CAUSES_MAX = 5;

function errorValue(error: Error, isStackWanted: boolean, depth: number): Record<string, unknown> {
  const value: Record<string, unknown> = { message: error.message };
  const { code, cause } = error as Error & { code?: unknown };
  if (code !== undefined) value.code = code;
  if (isStackWanted || code === undefined) value.stack = error.stack;
  if (cause !== undefined && depth < CAUSES_MAX) {
    value.cause = cause instanceof Error ? errorValue(cause, isStackWanted, depth + 1) : cause;
  }
  return value;
}

function jsonValue(value: unknown, isStackWanted: boolean): unknown {
  switch (typeof value) {
    case 'bigint':
      return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
        ? Number(value)
        : value.toString();
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'string':
      return value.length > FIELD_CHARS_MAX ? `${value.slice(0, FIELD_CHARS_MAX)}…` : value;
    case 'object':
      if (value instanceof Error) return errorValue(value, isStackWanted, 0);
      if (value instanceof Map) return Object.fromEntries(value);
      if (value instanceof Set) return [...value];
      return value;
    case 'function':
    case 'symbol':
      return String(value);
    default:
      return value;
  }
}

/** Returns the value as JSON text; what can't be written (a cycle, a throwing getter) is named so. */
export function toJson(value: unknown, isStackWanted: boolean): string {
  try {
    return JSON.stringify(value, (_, inner: unknown) => jsonValue(inner, isStackWanted)) ?? 'null';
  } catch (error) {
    return JSON.stringify(`not written: ${error instanceof Error ? error.message : 'unknown reason'}`);
  }
}
