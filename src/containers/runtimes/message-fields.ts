// Reading fields of answers that came from outside, where nothing has the type that it should have.
import { NAME_BYTES_MAX } from './runtime-source.ts';

/** A decoded message or object: each field is looked at before it is used. */
export type Fields = Readonly<Record<string, unknown>>;

/** Returns the value as fields; no fields where it is no object. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

/** Returns a text as it may be shown as a name; null where it is none, empty, or longer than {@link NAME_BYTES_MAX}. */
export function nameOf(value: unknown): string | null {
  if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > NAME_BYTES_MAX) return null;
  return value.toWellFormed();
}

/** Returns a field of the object itself: a key such as `constructor` is the container's choice, too. */
export function ownField(object: unknown, key: string): unknown {
  return Object.hasOwn(fieldsOf(object), key) ? fieldsOf(object)[key] : undefined;
}

/** Parses JSON text as fields; no fields where it is none. */
export function fieldsOfJson(text: unknown): Fields {
  if (typeof text !== 'string') return {};
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    return {};
  }
}
