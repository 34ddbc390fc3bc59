// A port that speaks no protocol: it answers whatever comes with random bytes, and closes.
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';

const ANSWER_BYTES = 4096;

export interface NoiseServer {
  readonly port: number;
  /** How many there were. */
  readonly connections: number;
  close(): Promise<void>;
}

export async function startNoise(): Promise<NoiseServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.once('data', () => socket.end(randomBytes(ANSWER_BYTES)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
