// What the kernel tells of containers: damaged real records and any bytes, as the main thread decodes them.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeScopeRecord } from '../../../src/containers/scope-records.ts';
import { damaged } from '../../helpers/damage.ts';
import { isDecodable, KINDS, record } from '../../helpers/odd-records.ts';
import { readRecords } from '../../helpers/record-corpus.ts';
import type { FuzzTarget } from '../fuzz.ts';

const PATH_BYTES_MAX = 1024;
const HOSTNAME_BYTES_MAX = 64;
const CORPUS = readRecords().filter(([kind]) => kind !== KINDS.pair && kind !== KINDS.slice);

export const SCOPE_RECORDS: FuzzTarget<Uint8Array> = {
  title: 'records of the kernel about containers',
  input: fc.oneof({ weight: 3, arbitrary: damaged(CORPUS) }, { weight: 1, arbitrary: record }),
  judge: (bytes) => {
    const decoded = decodeScopeRecord(bytes);
    assert.equal(decoded !== null, isDecodable(bytes));
    if (decoded === null) return 'refused';
    if (decoded.type === 'created') assert.ok(decoded.path.length <= PATH_BYTES_MAX);
    if ('hostname' in decoded) assert.ok(decoded.hostname.length <= HOSTNAME_BYTES_MAX);
    return decoded.type;
  },
  expected: ['refused', 'created', 'removed', 'described', 'met'],
};
