// One key and its value as YAML lines.
import { stringify } from 'yaml';

/** Returns the lines of `key: value`: one, or one for each item where it is longer than `columns`. */
export function writeValue(key: string, value: unknown, columns: number): string[] {
  const flow = `${key}: ${flowOf(value)}`;
  if (flow.length <= columns || typeof value !== 'object' || value === null) return [flow];
  if (Array.isArray(value)) return [`${key}:`, ...value.map((item) => `  - ${flowOf(item)}`)];
  return [`${key}:`, ...Object.entries(value).map(([name, item]) => `  ${flowOf(name)}: ${flowOf(item)}`)];
}

/** On one line, whatever the value: JSON is YAML too. */
function flowOf(value: unknown): string {
  const form = { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 } as const;
  const written = stringify(value, form).trim();
  return written.includes('\n') ? JSON.stringify(value) : written;
}
