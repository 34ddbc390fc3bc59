// The datagram that a service manager is sent, on real unix sockets.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import koffi from 'koffi';
import { sendDatagram } from '../../src/bpf/libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

const libc = koffi.load(null);
const socket = libc.func('int socket(int family, int type, int protocol)');
const bind = libc.func('int bind(int fd, const void *address, uint32_t bytes)');
const recv = libc.func('long recv(int fd, _Out_ void *data, size_t bytes, int flags)');
const close = libc.func('int close(int fd)');

/** Listens at an address as unix(7) lays it out: a path, or a NUL byte and a name. */
function listen(t: TestContext, name: string): () => string | null {
  const fd = socket(AF_UNIX, SOCK_DGRAM, 0) as number;
  t.after(() => void close(fd));
  const address = Buffer.concat([Buffer.from(new Uint16Array([AF_UNIX]).buffer), Buffer.from(name)]);
  assert.equal(bind(fd, address, address.length), 0, `bind: errno ${koffi.errno()}`);
  const data = Buffer.alloc(4096);
  return () => {
    const bytes = Number(recv(fd, data, data.length, MSG_DONTWAIT));
    return bytes < 0 ? null : data.toString('utf8', 0, bytes);
  };
}

function pathIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-datagram-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'notify');
}

test('a datagram reaches a socket at a path whole', (t) => {
  const path = pathIn(t);
  const receive = listen(t, path);
  sendDatagram(path, 'READY=1\nSTATUS=für alle');
  assert.equal(receive(), 'READY=1\nSTATUS=für alle');
  assert.equal(receive(), null);
});

test('a datagram reaches an abstract socket', (t) => {
  const name = `fdspan-test-${process.pid}`;
  const receive = listen(t, `\0${name}`);
  sendDatagram(`\0${name}`, 'WATCHDOG=1');
  assert.equal(receive(), 'WATCHDOG=1');
});

test('a listener that does not read costs its sender no more than a moment', { timeout: 60_000 }, (t) => {
  const path = pathIn(t);
  const receive = listen(t, path);
  const queued = Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8'));
  // The kernel queues one more than its limit; the two after that find no room.
  for (let index = 0; index <= queued + 2; index++) sendDatagram(path, `STATUS=${index}`);
  let received = 0;
  while (receive() !== null) received++;
  assert.ok(received >= queued && received < queued + 3, `${received} of ${queued + 3}`);
});

test('nobody listening is no error', (t) => {
  sendDatagram(pathIn(t), 'READY=1');
});
