// A server on a unix socket that answers what the test wants, down to single bytes: for what no real daemon can be
// made to do.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Handler = (socket: Socket, path: string) => void;

export interface UnixServer {
  readonly socketPath: string;
  /** Paths with their queries, in the order in which they were asked for. */
  readonly paths: string[];
  /** Connections open now, and the most that were open at once. */
  readonly connections: { now: number; max: number };
  /** Replaces what answers; connections that are open keep what they have. */
  handler: Handler;
  close(): Promise<void>;
}

/** Answers one request a connection. */
export async function startUnixServer(handler: Handler): Promise<UnixServer> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-socket-'));
  const socketPath = join(folder, 'engine.sock');
  const sockets = new Set<Socket>();
  const connections = { now: 0, max: 0 };
  const paths: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    connections.now += 1;
    connections.max = Math.max(connections.max, connections.now);
    let head = '';
    const read = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', read).resume();
      const path = head.split(' ')[1] ?? '';
      paths.push(path);
      self.handler(socket, path);
    };
    socket.on('data', read);
    // The client may leave at any time.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      connections.now -= 1;
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const self: UnixServer = {
    socketPath,
    paths,
    connections,
    handler,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      await rm(folder, { recursive: true, force: true });
    },
  };
  return self;
}

/** Sends a whole answer and closes. */
export function answer(socket: Socket, body: string | Buffer, status = '200 OK'): void {
  const length = Buffer.byteLength(body);
  socket.write(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`);
  socket.end(body);
}

/** Begins an answer that lasts until the connection ends. */
export function answerForever(socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n');
}
