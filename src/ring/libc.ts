// The libc calls of the pump's thread: views of mapped memory, waiting, and the clocks. All pointers
// given to libc are Buffers of this file: koffi keeps them for the call only, libc doesn't keep them.
import koffi from 'koffi';
import { RING_PAGE_BYTES, type RingMemory } from './ring-reader.ts';

const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const EPOLL_CLOEXEC = 0o2000000;
/** struct epoll_event is packed to 12 bytes on x86 only. */
const EPOLL_EVENT_DATA_OFFSET = process.arch === 'x64' ? 4 : 8;
const EPOLL_EVENTS_MAX = 2;

const libc = koffi.load(null);
const epollCreate1 = libc.func('int epoll_create1(int flags)');
const epollCtl = libc.func('int epoll_ctl(int epfd, int op, int fd, void *event)');
const epollWait = libc.func('int epoll_wait(int epfd, void *events, int events_max, int timeout_ms)');
const readDescriptor = libc.func('long read(int fd, void *buffer, size_t bytes)');
const closeDescriptor = libc.func('int close(int fd)');
const setPriority = libc.func('int setpriority(int which, unsigned int who, int priority)');
const clockGettime = libc.func('int clock_gettime(int clock, void *time)');

const PRIO_PROCESS = 0;
/** Reason: the ring of 8 MiB fills in 30 ms; among busy threads the pump must come first when it is woken. */
const PUMP_PRIORITY = -15;

/** Puts the calling thread before others. Without CAP_SYS_NICE it stays as it is: the ring then fills sooner. */
export function preferThisThread(): void {
  setPriority(PRIO_PROCESS, 0, PUMP_PRIORITY);
}

/** Views a ring that another thread mapped; it must stay mapped until this thread has ended. */
export function createRingViews(consumer: bigint, producer: bigint, ringBytes: number): RingMemory {
  return {
    consumer: koffi.view(consumer, RING_PAGE_BYTES),
    producer: koffi.view(producer, RING_PAGE_BYTES + 2 * ringBytes),
    ringBytes,
  };
}

/** Waits, without an event loop, for the ring or for the main thread's eventfd. */
export class Waiter {
  private readonly eventFd: number;
  private readonly ringEpollFd: number;
  private readonly messageEpollFd: number;
  private readonly events = Buffer.alloc(16 * EPOLL_EVENTS_MAX);
  private readonly eventCount = Buffer.alloc(8);

  /** @param ringFd the ring's map; a negative one (memory without a map) is not waited for. */
  constructor(ringFd: number, eventFd: number) {
    this.eventFd = eventFd;
    this.ringEpollFd = createEpoll();
    this.messageEpollFd = createEpoll();
    addToEpoll(this.messageEpollFd, eventFd);
    addToEpoll(this.ringEpollFd, eventFd);
    if (ringFd >= 0) addToEpoll(this.ringEpollFd, ringFd);
  }

  /** Waits for records or messages. The timeout bounds what a wake-up that the kernel saved may delay. */
  waitForRecords(timeoutMs: number): void {
    this.wait(this.ringEpollFd, timeoutMs);
  }

  /** Waits for messages only: a ring that isn't read would wake at once, again and again. */
  waitForMessages(timeoutMs: number): void {
    this.wait(this.messageEpollFd, timeoutMs);
  }

  close(): void {
    closeDescriptor(this.ringEpollFd);
    closeDescriptor(this.messageEpollFd);
  }

  private wait(epollFd: number, timeoutMs: number): void {
    const readyCount = epollWait(epollFd, this.events, EPOLL_EVENTS_MAX, timeoutMs);
    for (let index = 0; index < readyCount; index += 1) {
      const at = index * (EPOLL_EVENT_DATA_OFFSET + 8) + EPOLL_EVENT_DATA_OFFSET;
      if (this.events.readInt32LE(at) === this.eventFd) readDescriptor(this.eventFd, this.eventCount, 8);
    }
  }
}

/** Reads a clock: see {@link WallClock}. */
export function readClock(clock: number, time: Buffer): void {
  clockGettime(clock, time);
}

function createEpoll(): number {
  const fd = epollCreate1(EPOLL_CLOEXEC) as number;
  if (fd < 0) throw new Error(`epoll_create1: errno ${koffi.errno()}; raise the limit of open files`);
  return fd;
}

function addToEpoll(epollFd: number, fd: number): void {
  const event = Buffer.alloc(16);
  event.writeUInt32LE(EPOLLIN, 0);
  event.writeInt32LE(fd, EPOLL_EVENT_DATA_OFFSET);
  if (epollCtl(epollFd, EPOLL_CTL_ADD, fd, event) !== 0) {
    throw new Error(`epoll_ctl: adding descriptor ${fd}: errno ${koffi.errno()}`);
  }
}
