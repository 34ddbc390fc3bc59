// What a backend writes to the socket: any bytes and damaged real answers, read by the real transports over loopback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import fc from 'fast-check';
import { Credentials } from '../../../src/export/credentials.ts';
import { parseEndpoint } from '../../../src/export/endpoint.ts';
import type { ExportOptions } from '../../../src/export/export-options.ts';
import { GrpcTransport } from '../../../src/export/grpc-transport.ts';
import { HttpTransport } from '../../../src/export/http-transport.ts';
import type { SendResult } from '../../../src/export/send-result.ts';
import { damaged } from '../../helpers/damage.ts';
import { exportRequest } from '../../helpers/export-harness.ts';
import { startReceiver, type Behaviour } from '../../helpers/otlp-receiver.ts';
import type { FuzzTarget } from '../fuzz.ts';

type Protocol = ExportOptions['protocol'];

/** A transport's own deadline, for an answer that never ends. */
const TIMEOUT_MS = 300;
/** The guard against a send that never ends: far beyond the deadline on any machine. */
const HANG_MS = 60_000;
const BEHAVIOURS: readonly Behaviour[] = [
  { type: 'accept' },
  { type: 'partial', rejectedSpans: 2, message: 'too old' },
  { type: 'http-status', status: 503, retryAfter: '3', message: 'later' },
  { type: 'accept-and-close' },
  { type: 'garbage' },
];
const GRPC_BEHAVIOURS: readonly Behaviour[] = [
  { type: 'grpc-status', code: 8, message: 'too much', retryDelayMs: 200 },
  { type: 'grpc-status', code: 14, message: 'down', isTrailersOnly: false },
];
const HTTP_TEXTS = [
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nx',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  'HTTP/1.0 200 OK\r\n\r\nuntil the end',
  'HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\nslow',
  'HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n',
];
const REQUEST = Buffer.from(exportRequest(2));

function optionsOf(protocol: Protocol, endpoint: string): ExportOptions {
  const tls = { ca: null, cert: null, key: null };
  const rest = { queueBytesMax: 1 << 20, requestsInFlightMax: 4, userAgent: 'fdspan/test' };
  return {
    protocol,
    endpoint,
    compression: 'none',
    headers: {},
    headersFile: null,
    tls,
    timeoutMs: TIMEOUT_MS,
    ...rest,
  };
}

async function sendTo(port: number, protocol: Protocol): Promise<SendResult> {
  const url = `http://127.0.0.1:${port}`;
  const options = optionsOf(protocol, url);
  const Transport = protocol === 'grpc' ? GrpcTransport : HttpTransport;
  const transport = new Transport(parseEndpoint(url, protocol), options, new Credentials(options));
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the send never ends')), HANG_MS);
  });
  try {
    return await Promise.race([transport.send(REQUEST, 'identity', new AbortController().signal), hang]);
  } finally {
    clearTimeout(timer);
    transport.close();
  }
}

/** What a real receiver writes to a client that sends it one request. */
async function recordAnswer(protocol: Protocol, behaviour: Behaviour): Promise<Buffer> {
  const receiver = await startReceiver({ protocol, otherwise: behaviour });
  const chunks: Buffer[] = [];
  const proxy = createServer((client) => {
    const server = connect(receiver.port, '127.0.0.1');
    server.on('data', (chunk) => void chunks.push(chunk));
    for (const socket of [client, server]) socket.on('error', () => socket.destroy());
    client.pipe(server).pipe(client);
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  await sendTo((proxy.address() as AddressInfo).port, protocol);
  proxy.close();
  await receiver.close();
  return Buffer.concat(chunks);
}

type Ending = 'end' | 'reset' | 'stay';

/** A server that writes the same bytes to whoever asks. */
class Writer {
  bytes: Uint8Array = Buffer.alloc(0);
  ending: Ending = 'end';
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket));
    socket.once('data', () => {
      socket.resume();
      if (this.ending === 'end') socket.end(this.bytes);
      else socket.write(this.bytes, () => this.ending === 'reset' && socket.resetAndDestroy());
    });
  });

  async listen(): Promise<number> {
    this.#server.unref();
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

interface Input {
  readonly bytes: Uint8Array;
  readonly ending: Ending;
}

async function targetOf(protocol: Protocol): Promise<FuzzTarget<Input>> {
  const behaviours = protocol === 'grpc' ? [...BEHAVIOURS, ...GRPC_BEHAVIOURS] : BEHAVIOURS;
  const corpus: Buffer[] = protocol === 'grpc' ? [] : HTTP_TEXTS.map((text) => Buffer.from(text));
  for (const behaviour of behaviours) corpus.push(await recordAnswer(protocol, behaviour));
  const writer = new Writer();
  const port = await writer.listen();
  return {
    title: `bytes on the socket of a backend, ${protocol}`,
    // Reason: a connection for each.
    weight: 1 / 50,
    input: fc.record({
      bytes: fc.oneof(
        { weight: 9, arbitrary: damaged(corpus) },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
      ),
      ending: fc.oneof(
        { weight: 60, arbitrary: fc.constant<Ending>('end') },
        { weight: 20, arbitrary: fc.constant<Ending>('reset') },
        { weight: 1, arbitrary: fc.constant<Ending>('stay') },
      ),
    }),
    judge: async ({ bytes, ending }) => {
      Object.assign(writer, { bytes, ending });
      const result = await sendTo(port, protocol);
      writer.hangUp();
      assert.notEqual(result.kind, 'damaged');
      return result.kind;
    },
    expected: ['success', 'retryable'],
  };
}

export const HTTP_WIRE = await targetOf('http/protobuf');
export const GRPC_WIRE = await targetOf('grpc');
