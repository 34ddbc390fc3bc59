// A ring as the kernel lays it out, in a memfd that is mapped like the kernel's: the data twice in a row.
import koffi from 'koffi';
import * as layout from '../../src/model/record-layout.ts';

const PAGE = 4096;
const libc = koffi.load(null);
const memfdCreate = libc.func('int memfd_create(const char *name, unsigned int flags)');
const ftruncate = libc.func('int ftruncate(int fd, long length)');
const mmap = libc.func(
  'uint64_t mmap(uint64_t address, size_t length, int prot, int flags, int fd, long offset)',
);
export const eventfd = libc.func('int eventfd(unsigned int count, int flags)');
const write = libc.func('long write(int fd, void *buffer, size_t bytes)');

export interface TestRing {
  readonly consumerAddress: bigint;
  readonly producerAddress: bigint;
  readonly ringBytes: number;
  readonly consumer: ArrayBuffer;
  readonly producer: ArrayBuffer;
  write(record: Uint8Array, header?: number): void;
}

/** Maps a ring; it lives as long as the test process. */
export function createTestRing(ringBytes: number): TestRing {
  const fd = memfdCreate('ring', 0) as number;
  ftruncate(fd, 2 * PAGE + ringBytes);
  const map = (address: bigint, bytes: number, flags: number, offset: number): bigint =>
    BigInt(mmap(address, bytes, 3, flags, fd, offset) as number | bigint);
  const consumerAddress = map(0n, PAGE, 1, 0);
  const producerAddress = BigInt(mmap(0n, PAGE + 2 * ringBytes, 3, 0x22, -1, 0) as number | bigint);
  map(producerAddress, PAGE + ringBytes, 0x11, PAGE);
  map(producerAddress + BigInt(PAGE + ringBytes), ringBytes, 0x11, 2 * PAGE);
  const consumer = koffi.view(consumerAddress, PAGE);
  const producer = koffi.view(producerAddress, PAGE + 2 * ringBytes);
  const positions = new BigUint64Array(producer, 0, 1);
  return {
    consumerAddress,
    producerAddress,
    ringBytes,
    consumer,
    producer,
    write(record, header = record.length) {
      const at = Number(positions[0]) % ringBytes;
      new Uint8Array(producer, PAGE + at + 8, record.length).set(record);
      new Uint32Array(producer, PAGE + at, 1)[0] = header;
      Atomics.store(positions, 0, positions[0] + BigInt((record.length + 15) & ~7));
    },
  };
}

/** Wakes a reader of an eventfd. */
export function wake(fd: number): void {
  const one = Buffer.alloc(8);
  one[0] = 1;
  write(fd, one, 8);
}

/** Builds a pair's record with plausible values; `change` sets fields by offset. */
export function pairRecord(
  path: string | Uint8Array,
  change: (view: DataView) => void = () => {},
): Uint8Array {
  const pathBytes = typeof path === 'string' ? Buffer.from(path) : path;
  const record = new Uint8Array(layout.PAIR_RECORD_BYTES + 3 + pathBytes.length);
  const view = new DataView(record.buffer);
  view.setUint8(layout.PAIR_RECORD_KIND, layout.RECORD_PAIR);
  view.setUint8(layout.PAIR_RECORD_REASON, layout.CLOSE_CLOSE);
  view.setUint16(layout.PAIR_RECORD_EXECUTABLE_BYTES, 3, true);
  view.setUint16(layout.PAIR_RECORD_PATH_BYTES, pathBytes.length, true);
  view.setBigUint64(layout.PAIR_RECORD_SCOPE, 77n, true);
  view.setBigUint64(layout.PAIR_RECORD_OPENED_BOOT_NS, 5_000_000_000n, true);
  view.setBigUint64(layout.PAIR_RECORD_CLOSED_BOOT_NS, 7_000_000_001n, true);
  view.setBigUint64(layout.PAIR_RECORD_INODE, 18446744073709551615n, true);
  view.setUint32(layout.PAIR_RECORD_PID, 4242, true);
  view.setInt32(layout.PAIR_RECORD_FD, 3, true);
  view.setUint32(layout.PAIR_RECORD_OPEN_FLAGS, 0o102, true);
  view.setUint32(layout.PAIR_RECORD_MODE, 0o100644, true);
  view.setUint32(layout.PAIR_RECORD_DEVICE, (8 << 20) | 1, true);
  record.set(Buffer.from('cat'), layout.PAIR_RECORD_BYTES);
  record.set(Buffer.from('cat'), layout.PAIR_RECORD_COMM);
  record.set(pathBytes, layout.PAIR_RECORD_BYTES + 3);
  change(view);
  return record;
}
