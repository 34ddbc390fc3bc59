// The receiver's OTLP/HTTP side.
import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodeResponse, encodeRpcStatus } from './otlp-messages.ts';
import { sufferPiece, type Behaviour, type Desk, type Listening } from './otlp-receiver.ts';

export async function listenHttp(desk: Desk): Promise<Listening> {
  const { tls, port = 0, host = '127.0.0.1' } = desk.options;
  const onRequest = (request: http.IncomingMessage, response: http.ServerResponse): void =>
    void serve(desk, request, response).catch((error: Error) => {
      if (response.headersSent) response.destroy();
      else answer(response, 400, encodeRpcStatus(3, `bad request: ${error.message}`));
    });
  const server =
    tls === undefined
      ? http.createServer(onRequest)
      : https.createServer(
          { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: tls.ca !== undefined },
          onRequest,
        );
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  desk: Desk,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const { acceptEncodings } = desk.options;
  const isRefused = acceptEncodings !== undefined && !acceptEncodings.includes(encoding);
  const behaviour: Behaviour = isRefused
    ? { type: 'http-status', status: 400, message: `unsupported Content-Encoding: ${encoding}` }
    : desk.nextBehaviour();
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if (await sufferPiece(behaviour, () => request.socket.resetAndDestroy())) return;
  }
  if (request.method !== 'POST' || request.url !== '/v1/traces')
    return answer(response, 404, Buffer.from('no such path'), 'text/plain');
  if (request.headers['content-type'] !== 'application/x-protobuf')
    return answer(response, 415, Buffer.from('protobuf only'), 'text/plain');
  const headers = request.headers as Record<string, string>;
  desk.take({ path: request.url, headers, encoding, body: Buffer.concat(chunks) }, behaviour);
  respond(response, behaviour);
}

function respond(response: http.ServerResponse, behaviour: Behaviour): void {
  switch (behaviour.type) {
    case 'accept':
    case 'slow':
      return answer(response, 200, encodeResponse());
    case 'accept-and-close':
      response.setHeader('connection', 'close');
      return answer(response, 200, encodeResponse());
    case 'partial':
      return answer(response, 200, encodeResponse(behaviour.rejectedSpans, behaviour.message));
    case 'garbage':
      return answer(response, 200, Buffer.from('<html>welcome to the portal</html>'), 'text/html');
    case 'huge':
      return answer(response, 200, Buffer.alloc(behaviour.bytes, 0x20), 'text/plain');
    case 'http-status': {
      if (behaviour.retryAfter !== undefined) response.setHeader('retry-after', behaviour.retryAfter);
      if (behaviour.location !== undefined) response.setHeader('location', behaviour.location);
      return answer(response, behaviour.status, encodeRpcStatus(13, behaviour.message ?? ''));
    }
    case 'hang':
    case 'accept-and-hang':
      return;
    default:
      throw new Error(`${behaviour.type} is not for http/protobuf`);
  }
}

function answer(
  response: http.ServerResponse,
  status: number,
  body: Buffer,
  contentType = 'application/x-protobuf',
): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': body.length });
  response.end(body);
}
