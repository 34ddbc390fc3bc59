// The files that fdspan reads again after a restart: segments of the spool, and the times of open files.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Spool } from '../../../src/export/spool/spool.ts';
import { NO_SPANS, spansWith, type SpanCounts } from '../../../src/model/span-counts.ts';
import { readStateFile, StateFileError, writeStateFile } from '../../../src/open-files/state-file.ts';
import { damaged } from '../../helpers/damage.ts';
import type { FuzzTarget } from '../fuzz.ts';

const folder = mkdtempSync(join(tmpdir(), 'fdspan-fuzz-files-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const SPOOL_BYTES_MAX = 64 << 20;
/** Bodies of different lengths, none shorter than what damage can copy at once. */
const BODIES = [0, 1, 7, 8, 9, 300].map((more, index) => Buffer.alloc(70 + more, index + 1));
const SILENT = { recovered() {}, lost() {}, trouble() {}, loadable() {} };

/** Writes a spool as a collector does, and returns its one segment. */
async function writeSegment(): Promise<{ name: string; bytes: Buffer }> {
  const dir = join(folder, 'written');
  const spool = await Spool.open({ dir, bytesMax: SPOOL_BYTES_MAX }, () => true);
  spool.begin(SILENT);
  for (const [index, body] of BODIES.entries()) {
    const counts = { spans: index + 1, processSpans: index, heldSpans: 2 * index };
    await spool.append({ ...counts, encoding: 'identity', sequence: 1000 + index }, body);
  }
  await spool.close(10_000);
  const [name] = readdirSync(dir).filter((each) => each.endsWith('.spool'));
  return { name, bytes: readFileSync(join(dir, name)) };
}

const SEGMENT = await writeSegment();

async function judgeSegment(bytes: Uint8Array): Promise<string> {
  const dir = join(folder, 'damaged');
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  writeFileSync(join(dir, SEGMENT.name), bytes);
  let [found, torn, lost]: SpanCounts[] = [NO_SPANS, NO_SPANS, NO_SPANS];
  let troubles = 0;
  const spool = await Spool.open({ dir, bytesMax: SPOOL_BYTES_MAX }, () => true);
  await new Promise<void>((resolve) => {
    spool.begin({
      recovered: (ofSegment, tornOfSegment) => {
        found = spansWith(found, ofSegment);
        torn = spansWith(torn, tornOfSegment);
      },
      lost: (reason, counts) => {
        assert.equal(reason, 'spool_damaged');
        lost = spansWith(lost, counts);
      },
      trouble: () => void (troubles += 1),
      loadable: resolve,
    });
  });
  let loaded: SpanCounts = NO_SPANS;
  const seen = new Set<number>();
  for (let next = await spool.load(); next !== null; next = await spool.load()) {
    const { head } = next.stored;
    const index = head.sequence - 1000;
    assert.ok(BODIES[index]?.equals(next.body), 'what is loaded is what was stored');
    assert.ok(!seen.has(index), 'and once');
    seen.add(index);
    loaded = spansWith(loaded, head);
    spool.done(next.stored);
  }
  await spool.close(10_000);
  assert.deepEqual(found, [torn, loaded, lost].reduce(spansWith), 'what was found is somewhere');
  if (seen.size === BODIES.length && troubles === 0) return 'whole';
  return seen.size > 0 ? 'in part' : 'lost';
}

export const SPOOL: FuzzTarget<Uint8Array> = {
  title: 'damaged segments of the spool',
  // Reason: a folder, a file and its removal for each.
  weight: 1 / 100,
  input: damaged([SEGMENT.bytes], 6),
  judge: judgeSegment,
  expected: ['whole', 'in part', 'lost'],
};

const BOOT = { id: Buffer.alloc(16, 9), nowBootNs: 1_000_000n };
const HASH_BYTES = 32;
const stateFile = join(folder, 'open-times.state');

async function writeState(entries: number): Promise<Buffer> {
  async function* portions() {
    yield Array.from({ length: entries }, (_, index) => ({
      identity: BigInt(index) << 20n,
      openedBootNs: BigInt(index),
      reportedBootNs: 5n,
      slotIndex: index,
      isAdopted: index % 2 === 0,
    }));
  }
  await writeStateFile(stateFile, 77n, BOOT, portions());
  return readFileSync(stateFile);
}

const STATES = [await writeState(0), await writeState(1), await writeState(20)];

export const STATE: FuzzTarget<{ bytes: Buffer; isSummed: boolean }> = {
  title: 'damaged files of the times of open files',
  // Reason: a file for each.
  weight: 1 / 50,
  input: fc.record({
    bytes: fc.oneof(
      { weight: 9, arbitrary: damaged(STATES, 3) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
    ),
    // A damage with a checksum that is right: what lies behind the first check is reached.
    isSummed: fc.boolean(),
  }),
  judge: async ({ bytes, isSummed }) => {
    const summed = bytes.subarray(0, -HASH_BYTES);
    const hash = createHash('sha256').update(summed).digest();
    writeFileSync(stateFile, isSummed && bytes.length > HASH_BYTES ? Buffer.concat([summed, hash]) : bytes, {
      mode: 0o600,
    });
    try {
      const known = await readStateFile(stateFile, BOOT);
      for (let index = 0; index < 25; index += 1) known?.find(BigInt(index) << 20n);
      return 'read';
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      return 'refused';
    }
  },
  expected: ['read', 'refused'],
};
