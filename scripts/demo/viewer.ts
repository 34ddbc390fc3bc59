// The demonstration's viewer: autotel-devtools, an OTLP receiver with a web page, on loopback.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { OwnedProcess } from './owned-process.ts';

export interface Viewer {
  readonly grpcEndpoint: string;
  readonly pageAddress: string;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
const START_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 3000;
const cli = new URL('../viewer/node_modules/autotel-devtools/dist/cli.js', import.meta.url).pathname;

/** Returns the port when it is free, else one that the kernel picks. */
async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  server.listen(wanted, HOST);
  try {
    await once(server, 'listening');
  } catch {
    return freePort(0);
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : wanted;
}

/** Starts the viewer on OTLP's own ports where they are free, and resolves once it answers. */
export async function startViewer(): Promise<Viewer> {
  const [httpPort, grpcPort] = [await freePort(4318), await freePort(4317)];
  const args = [cli, '--host', HOST, '--port', String(httpPort), '--grpc-port', String(grpcPort)];
  args.push('--title', 'fdspan');
  const child = new OwnedProcess('viewer', process.execPath, args, {
    standardError: 'ignore',
    isSilent: true,
  });
  const pageAddress = `http://${HOST}:${httpPort}/`;
  const deadlineMs = performance.now() + START_DEADLINE_MS;
  while (!(await isHealthy(pageAddress))) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      await child.stop(STOP_DEADLINE_MS);
      throw new Error(
        `the viewer doesn't answer at ${pageAddress}: run npm run setup, or set OTEL_EXPORTER_OTLP_ENDPOINT`,
      );
    }
    await delay(50);
  }
  return {
    grpcEndpoint: `http://${HOST}:${grpcPort}`,
    pageAddress,
    stop: () => child.stop(STOP_DEADLINE_MS),
  };
}

async function isHealthy(pageAddress: string): Promise<boolean> {
  try {
    return (await fetch(new URL('healthz', pageAddress))).ok;
  } catch {
    return false;
  }
}
