// The receiver's gRPC side over node:http2: every encoding, and what only a broken server or a proxy does.
import * as http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { encodeResponse, encodeRpcStatus } from './otlp-messages.ts';
import { sufferPiece, type Behaviour, type Desk, type Listening } from './otlp-receiver.ts';

const EXPORT_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

export async function listenGrpc(desk: Desk): Promise<Listening> {
  const { tls, port = 0, host = '127.0.0.1' } = desk.options;
  const server =
    tls === undefined
      ? http2.createServer()
      : http2.createSecureServer({
          ...tls,
          requestCert: tls.ca !== undefined,
          rejectUnauthorized: tls.ca !== undefined,
        });
  const sessions = new Set<http2.ServerHttp2Session>();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on('error', () => undefined);
    serve(desk, stream, headers, sockets).catch((error: Error) =>
      end(stream, 13, `bad request: ${error.message}`),
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function serve(
  desk: Desk,
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  sockets: Set<Socket>,
): Promise<void> {
  const encoding = (headers['grpc-encoding'] as string | undefined) ?? 'identity';
  const { acceptEncodings } = desk.options;
  const isRefused = acceptEncodings !== undefined && !acceptEncodings.includes(encoding);
  const message = `grpc: Decompressor is not installed for grpc-encoding "${encoding}"`;
  const behaviour: Behaviour = isRefused ? { type: 'grpc-status', code: 12, message } : desk.nextBehaviour();
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if (await sufferPiece(behaviour, () => sockets.forEach((socket) => socket.resetAndDestroy()))) return;
  }
  const path = headers[':path'] ?? '';
  if (path !== EXPORT_PATH) return end(stream, 12, `unknown method ${path}`);
  if (headers['content-type'] !== 'application/grpc' || headers.te !== 'trailers')
    return end(stream, 13, 'not a gRPC request');
  const frame = Buffer.concat(chunks);
  if (frame.readUInt32BE(1) !== frame.length - 5) return end(stream, 13, 'not one frame');
  if ((frame[0] === 1) !== (encoding !== 'identity'))
    return end(stream, 13, 'the frame and grpc-encoding disagree');
  desk.take(
    { path, headers: headers as Record<string, string>, encoding, body: frame.subarray(5) },
    behaviour,
  );
  respond(stream, behaviour);
}

function respond(stream: http2.ServerHttp2Stream, behaviour: Behaviour): void {
  switch (behaviour.type) {
    case 'accept':
    case 'slow':
      return succeed(stream, encodeResponse());
    case 'accept-and-close':
      succeed(stream, encodeResponse());
      stream.session?.goaway();
      return;
    case 'partial':
      return succeed(stream, encodeResponse(behaviour.rejectedSpans, behaviour.message));
    case 'garbage':
      return succeed(stream, Buffer.from('<html>welcome to the portal</html>'));
    case 'huge':
      return succeed(stream, Buffer.alloc(behaviour.bytes, 0x20));
    case 'http-status':
      stream.respond({ ':status': behaviour.status, 'content-type': 'text/plain' });
      stream.end(behaviour.message ?? '');
      return;
    case 'grpc-status':
      return end(
        stream,
        behaviour.code,
        behaviour.message ?? '',
        behaviour.retryDelayMs,
        behaviour.isTrailersOnly,
      );
    default:
      return;
  }
}

function succeed(stream: http2.ServerHttp2Stream, message: Buffer): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
}

function end(
  stream: http2.ServerHttp2Stream,
  code: number,
  message: string,
  retryDelayMs?: number,
  isTrailersOnly = true,
): void {
  if (stream.destroyed || stream.headersSent) {
    stream.destroy();
    return;
  }
  const status: http2.OutgoingHttpHeaders = {
    'grpc-status': String(code),
    'grpc-message': encodeURIComponent(message),
  };
  if (retryDelayMs !== undefined) {
    status['grpc-status-details-bin'] = encodeRpcStatus(code, message, retryDelayMs).toString('base64');
  }
  const headers = { ':status': 200, 'content-type': 'application/grpc' };
  if (isTrailersOnly) {
    stream.respond({ ...headers, ...status }, { endStream: true });
    return;
  }
  stream.respond(headers, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(status));
  stream.end();
}
