// A backend that takes everything and looks at nothing, so that the collector's own cost is what is
// measured. A process of its own: prints its address, and the requests that it took when it is ended.
import { createServer } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';

let requests = 0;

function listenHttp(): ReturnType<typeof createServer> {
  return createServer((request, response) => {
    request.resume().on('end', () => {
      requests += 1;
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
}

/** An empty message in one gRPC frame, then the status as trailers. */
function listenGrpc(): Http2Server {
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.resume().on('end', () => {
      requests += 1;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.alloc(5));
    });
  });
  return server;
}

const server = process.argv[2] === 'grpc' ? listenGrpc() : listenHttp();
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.on('SIGTERM', () => {
  process.stdout.write(`${requests}\n`);
  process.exit(0);
});
