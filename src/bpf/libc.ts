// The libc calls of the main thread: mapping the ring and the table of pending opens, an eventfd to wake
// the pump, the lock of the spool, datagrams to the service manager, and the end of the process. Addresses are owned by whoever mapped them.
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const CLOCK_BOOTTIME = 7;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
const SOCKET_ADDRESS_BYTES = 110;
/** Reason: who listens reads in microseconds. One that hangs must not hang the main thread with it. */
const DATAGRAM_TIMEOUT_US = 200_000n;
const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
const MEMBARRIER_X64 = 324;
const MEMBARRIER_ARM64 = 283;
const MEMBARRIER_CMD_GLOBAL = 1;
const PROGRAM_TIME_MS_MAX = 1000;
const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;
const MAP_FAILED = 0xffffffffffffffffn;

const libc = koffi.load(null);
const mmap = libc.func(
  'uintptr_t mmap(uintptr_t hint, size_t bytes, int protection, int flags, int fd, int64_t offset)',
);
const munmap = libc.func('int munmap(uintptr_t address, size_t bytes)');
const eventfd = libc.func('int eventfd(unsigned int value, int flags)');
const writeDescriptor = libc.func('long write(int fd, const void *data, size_t bytes)');
const socket = libc.func('int socket(int family, int type, int protocol)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int option, const void *value, uint32_t value_bytes)',
);
const sendto = libc.func(
  'long sendto(int fd, const void *data, size_t bytes, int flags, const void *address, uint32_t address_bytes)',
);
const syscall = libc.func('long syscall(long number, int command, unsigned int flags, int cpu)');
const clockGettime = libc.func('int clock_gettime(int clock, void *time)');
const openAt = libc.func('int openat(int folder, const char *path, int flags)');
const closeDescriptor = libc.func('int close(int fd)');
const flock = libc.func('int flock(int fd, int operation)');
const endNow = libc.func('void _exit(int code)');

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** Maps a part of a BPF map. Throws when the kernel refuses; the result must be given to {@link unmap}. */
export function mapShared(fd: number, bytes: number, offset: number, isWritable: boolean): bigint {
  const protection = isWritable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address = BigInt(mmap(0, bytes, protection, MAP_SHARED, fd, offset));
  if (address === MAP_FAILED) {
    throw new Error(`mapping ${bytes} bytes of descriptor ${fd} at ${offset}: errno ${koffi.errno()}`);
  }
  return address;
}

/** Unmaps what {@link mapShared} mapped. Any view of it that is read later ends the process. */
export function unmap(address: bigint, bytes: number): void {
  munmap(address, bytes);
}

/**
 * Resolves when no program runs any more that ran when it was called: membarrier(2) waits as the kernel does before
 * it frees what programs read. Where that isn't allowed the wait is a second, which no program takes.
 */
export async function waitForPrograms(): Promise<void> {
  const number = process.arch === 'arm64' ? MEMBARRIER_ARM64 : MEMBARRIER_X64;
  const result = await new Promise<number>((resolve, reject) => {
    syscall.async(number, MEMBARRIER_CMD_GLOBAL, 0, 0, (error: Error | null, value: number) =>
      error === null ? resolve(value) : reject(error),
    );
  });
  if (result !== 0) await sleep(PROGRAM_TIME_MS_MAX);
}

/** Nanoseconds of the boot clock, which the records' times are on; unlike the monotonic one it counts suspends. */
export function bootNs(): bigint {
  const time = new BigInt64Array(2);
  clockGettime(CLOCK_BOOTTIME, time);
  return time[0] * 1_000_000_000n + time[1];
}

/** Opens a file to read on the calling thread, by openat(2) and nothing else; returns the descriptor. Throws. */
export function openHere(path: string): number {
  const fd = openAt(AT_FDCWD, path, O_RDONLY | O_CLOEXEC) as number;
  if (fd < 0) throw new Error(`opening ${path}: errno ${koffi.errno()}`);
  return fd;
}

/** Closes a descriptor on the calling thread, by close(2) and nothing else. */
export function closeHere(fd: number): void {
  closeDescriptor(fd);
}

/**
 * Takes the lock of an open file, which ends when the descriptor is closed, also by a kill. Returns false where another
 * process has it. Throws where the file system has no locks.
 */
export function lockFile(fd: number): boolean {
  if ((flock(fd, LOCK_EX | LOCK_NB) as number) === 0) return true;
  const errno = koffi.errno();
  if (errno === EWOULDBLOCK) return false;
  throw new Error(`flock: errno ${errno}; take a folder on a local file system`);
}

/**
 * Ends the process at once. process.exit() waits for the worker and for libuv's threads, and each of them may hang in a call
 * that never returns: of a disk, of a name server.
 */
export function endProcess(exitCode: number): void {
  endNow(exitCode);
}

/** Makes an eventfd that wakes the pump. */
export function makeEventFd(): number {
  const fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) as number;
  if (fd < 0) throw new Error(`eventfd: errno ${koffi.errno()}; raise the limit of open files`);
  return fd;
}

/** Wakes whoever waits for the eventfd. */
export function wake(eventFd: number): void {
  writeDescriptor(eventFd, ONE, ONE.length);
}

/**
 * Sends one datagram to a unix socket, as sd_notify(3) does. Failures are ignored: nobody listens then. Where
 * the queue of the listener stays full, the datagram is given up after 0.2 s.
 */
export function sendDatagram(path: string, text: string): void {
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) return;
  const timeout = new Uint8Array(new BigInt64Array([0n, DATAGRAM_TIMEOUT_US]).buffer);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, timeout.length);
  const address = Buffer.alloc(SOCKET_ADDRESS_BYTES);
  address.writeUInt16LE(AF_UNIX, 0);
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path).subarray(0, 107);
  name.copy(address, 2);
  const data = Buffer.from(text);
  sendto(fd, data, data.length, 0, address, 2 + name.length);
  closeDescriptor(fd);
}
