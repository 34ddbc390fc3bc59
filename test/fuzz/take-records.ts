// Takes the corpus of real records (test/helpers/data/records.json): runs a collector and known workloads, and copies what
// the kernel wrote out of the collector's ring. Needs root. Run it again when bpf/record.h changes.
import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import koffi from 'koffi';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import { RING_PAGE_BYTES, RingReader } from '../../src/ring/ring-reader.ts';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { RECORDS_FILE } from '../helpers/record-corpus.ts';
import { startWorkload } from '../helpers/workload.ts';

const SCENARIOS: readonly (readonly [string, number])[] = [
  ['every-open', 1],
  ['failed-opens', 1],
  ['odd-names', 1],
  ['long-paths', 1],
  ['plain-closes', 3],
  ['close-ranges', 1],
  ['duplicates', 1],
  ['execs', 1],
  ['exits', 2],
  ['shell-redirect', 1],
];
/** Of one kind, end and length: more of them teach a mutation nothing. */
const ALIKE_MAX = 2;
const LENGTH_STEP = 16;
const LENGTH_MAX = 1200;
const RING_BYTES = 8 << 20;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const BPF_MAP_TYPE_RINGBUF = 27;
const PROT_READ = 1;
const MAP_SHARED = 1;

const libc = koffi.load(null);
const syscall = libc.func('long syscall(long number, long first, long second, long third)');
const mmap = libc.func(
  'uint64_t mmap(uint64_t address, size_t length, int prot, int flags, int fd, long offset)',
);

/** Maps a collector's ring, to be read only. */
function mapRingOf(pid: number): { consumer: ArrayBuffer; producer: ArrayBuffer } {
  const fds = readdirSync(`/proc/${pid}/fdinfo`);
  const ringFd = fds.find((fd) =>
    readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').includes(`map_type:\t${BPF_MAP_TYPE_RINGBUF}\n`),
  );
  if (ringFd === undefined) throw new Error(`process ${pid} has no ring among ${fds.length} descriptors`);
  const pidFd = syscall(SYS_PIDFD_OPEN, pid, 0, 0) as number;
  const fd = syscall(SYS_PIDFD_GETFD, pidFd, Number(ringFd), 0) as number;
  if (fd < 0) throw new Error(`taking descriptor ${ringFd} of process ${pid}: errno ${koffi.errno()}`);
  const map = (bytes: number, offset: number): ArrayBuffer =>
    koffi.view(BigInt(mmap(0n, bytes, PROT_READ, MAP_SHARED, fd, offset) as number | bigint), bytes);
  return {
    consumer: map(RING_PAGE_BYTES, 0),
    producer: map(RING_PAGE_BYTES + 2 * RING_BYTES, RING_PAGE_BYTES),
  };
}

/** The ring was never full: what was read is still there. */
function* recordsIn(producer: ArrayBuffer): Generator<Uint8Array> {
  const reader = new RingReader({
    consumer: new ArrayBuffer(RING_PAGE_BYTES),
    producer,
    ringBytes: RING_BYTES,
  });
  const cursor = new RecordCursor();
  while (reader.next(cursor)) yield cursor.bytes.slice(cursor.offset, cursor.offset + cursor.length);
}

/** Runs the workloads below a collector, and returns what its ring holds then. */
async function record(endpoint: string, scopeBy: string): Promise<Uint8Array[]> {
  const set = {
    'limits.ring': '8MiB',
    'scope.by': scopeBy,
    'spans.io_totals': 'true',
    'files.types': '[regular, directory, fifo, character_device]',
  };
  const collector = await startCollector({ endpoint, containerIds: null, set });
  for (const [scenario, count] of SCENARIOS) {
    const group = makeContainerGroup();
    const workload = await startWorkload({
      scenario,
      count,
      procsFiles: [group.procsFile],
      isIsolated: true,
    });
    workload.go();
    await workload.finished();
    await workload.end();
    await group.remove();
  }
  const records = [...recordsIn(mapRingOf(collector.pid).producer)];
  await collector.stop();
  return records;
}

const reason = whyNoKernelTests();
if (reason !== null) throw new Error(reason);
const receiver = await startReceiver({ protocol: 'grpc', decode: 'count' });
const all = [...(await record(receiver.endpoint, 'auto')), ...(await record(receiver.endpoint, 'mntns'))];
await receiver.close();
const alike = new Map<string, number>();
const kept = all.filter((bytes) => {
  // Kind, end and flags, and how long its texts are, roughly. Where the checkout lies is nobody's business.
  if (bytes.length > LENGTH_MAX || Buffer.from(bytes).includes(import.meta.dirname.split('/')[1] + '/'))
    return false;
  const like = `${Buffer.from(bytes.subarray(0, 4)).toString('hex')} ${Math.ceil(bytes.length / LENGTH_STEP)} ${isUtf8(bytes.subarray(-32))}`;
  alike.set(like, (alike.get(like) ?? 0) + 1);
  return alike.get(like)! <= ALIKE_MAX;
});
const lines = kept.map((bytes) => JSON.stringify(Buffer.from(bytes).toString('base64')));
writeFileSync(RECORDS_FILE, `[\n${lines.join(',\n')}\n]\n`);
const kinds = Map.groupBy(kept, ([kind]) => kind);
console.log(
  `${kept.length} of ${all.length} records`,
  [...kinds].map(([kind, { length }]) => [kind, length]),
);
