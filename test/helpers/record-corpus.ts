// Records as a kernel wrote them, taken from the ring of a collector (test/fuzz/take-records.ts).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectedKind } from './odd-records.ts';

export const RECORDS_FILE = join(import.meta.dirname, 'data/records.json');

/** Returns the records. Throws when they are of another layout than bpf/record.h is now. */
export function readRecords(): readonly Uint8Array[] {
  const texts = JSON.parse(readFileSync(RECORDS_FILE, 'utf8')) as readonly string[];
  const records = texts.map((text) => Uint8Array.from(Buffer.from(text, 'base64')));
  if (records.some((record) => expectedKind(record) === 0))
    throw new Error(
      'bpf/record.h has changed: take the records again, as root: node test/fuzz/take-records.ts',
    );
  return records;
}
