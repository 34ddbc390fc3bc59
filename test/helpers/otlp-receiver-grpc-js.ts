// The receiver's gRPC side by the official server: what fdspan's own client must get along with.
import * as grpc from '@grpc/grpc-js';
import { encodeResponse, encodeRpcStatus } from './otlp-messages.ts';
import type { Behaviour, Desk, Listening } from './otlp-receiver.ts';

const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const asIs = (bytes: Buffer): Buffer => bytes;
const traceService: grpc.ServiceDefinition = {
  Export: {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};

export async function listenGrpcJs(desk: Desk): Promise<Listening> {
  const { tls, port = 0, connectionAgeMs } = desk.options;
  const server = new grpc.Server({
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    ...(connectionAgeMs === undefined ? {} : { 'grpc.max_connection_age_ms': connectionAgeMs }),
  });
  server.addService(traceService, {
    Export: (call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
      const behaviour = desk.nextBehaviour();
      const headers = call.metadata.getMap() as Record<string, string>;
      // The official server has decompressed the message already.
      desk.take({ path, headers, encoding: 'identity', body: call.request }, behaviour);
      respond(behaviour, callback);
    },
  });
  const credentials =
    tls === undefined
      ? grpc.ServerCredentials.createInsecure()
      : grpc.ServerCredentials.createSsl(
          tls.ca === undefined ? null : Buffer.from(tls.ca),
          [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }],
          tls.ca !== undefined,
        );
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, used) =>
      error ? reject(error) : resolve(used),
    ),
  );
  return { port: bound, close: () => Promise.resolve(server.forceShutdown()) };
}

function respond(behaviour: Behaviour, callback: grpc.sendUnaryData<Buffer>): void {
  switch (behaviour.type) {
    case 'accept':
      return callback(null, encodeResponse());
    case 'partial':
      return callback(null, encodeResponse(behaviour.rejectedSpans, behaviour.message));
    case 'grpc-status': {
      const { code, message = '', retryDelayMs } = behaviour;
      const metadata = new grpc.Metadata();
      if (retryDelayMs !== undefined) {
        metadata.set('grpc-status-details-bin', encodeRpcStatus(code, message, retryDelayMs));
      }
      return callback({ code, details: message, metadata });
    }
    case 'hang':
      return;
    default:
      throw new Error(`${behaviour.type} is not for the grpc-js server`);
  }
}
