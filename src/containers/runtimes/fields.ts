// Fields of what comes from outside: a runtime's answers, messages and state files. Nothing in them has to have the
// type that its documentation says.
import { NAME_BYTES_MAX } from './runtime-source.ts';

/** An object from outside: each field is looked at before it is used. */
export type Fields = Readonly<Record<string, unknown>>;

/** Returns the value as an object whose fields can be asked for; null when it is none. */
export function recordOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

/** As {@link recordOf}, with no fields where the value is no object. */
export function fieldsOf(value: unknown): Fields {
  return recordOf(value) ?? {};
}

/** Returns what a JSON text holds; null when it is no text, or no JSON. */
export function parseJson(text: unknown): { readonly parsed: unknown } | null {
  if (typeof text !== 'string') return null;
  try {
    return { parsed: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}

/** Returns the object in a JSON text; null when there is none. */
export function recordOfText(text: unknown): Fields | null {
  return recordOf(parseJson(text)?.parsed);
}

/**
 * Returns the value as a name that can be sent as UTF-8; undefined when it is no text, empty or longer than
 * {@link NAME_BYTES_MAX}.
 */
export function nameOf(value: unknown): string | undefined {
  // Half of a surrogate pair counts three bytes, as its replacement does.
  if (typeof value !== 'string' || value === '' || value.length > NAME_BYTES_MAX) return undefined;
  return Buffer.byteLength(value) > NAME_BYTES_MAX ? undefined : value.toWellFormed();
}

/** Returns the object without the members that are undefined. */
export function known<T extends object>(members: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;
}
