// A gRPC server on a unix socket, made from the protos that the sources ship, for answers that no real runtime can be
// made to give.
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import * as loader from '@grpc/proto-loader';

/** Sends one message of a stream: fields, or bytes as they are. */
export type Send = (message: object) => void;

/**
 * Answers a call by the message's fields, or by bytes as they are. A handler of a stream sends by `send`; its stream
 * ends when the promise resolves, and fails when it rejects. An error's `code` is the gRPC status.
 */
export type Handler = (request: any, send: Send, call: any) => object | Promise<object>;

export interface GrpcServer {
  /** Ends at once, with all connections. */
  close(): void;
}

/** `handlers` are named `package.Service/Method`. Methods without one are UNIMPLEMENTED. */
export async function serveGrpc(
  socket: string,
  protoFiles: readonly string[],
  handlers: Readonly<Record<string, Handler>>,
): Promise<GrpcServer> {
  const folder = new URL('../../src/containers/runtimes/grpc/proto/', import.meta.url);
  const paths = protoFiles.map((name) => fileURLToPath(new URL(name, folder)));
  const definitions = await loader.load(paths, { keepCase: true, defaults: true });
  const server = new grpc.Server();
  for (const [name, definition] of Object.entries(definitions)) {
    if ('format' in definition) continue;
    const service: Record<string, any> = {};
    const implementation: grpc.UntypedServiceImplementation = {};
    for (const [method, description] of Object.entries<any>(definition)) {
      const handler = handlers[`${name}/${method}`];
      if (handler === undefined) continue;
      const serialize = description.responseSerialize;
      service[method] = {
        ...description,
        responseSerialize: (answer: object) => (Buffer.isBuffer(answer) ? answer : serialize(answer)),
      };
      implementation[method] = description.responseStream ? streaming(handler) : unary(handler);
    }
    if (Object.keys(service).length > 0) server.addService(service, implementation);
  }
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  return { close: () => server.forceShutdown() };
}

function unary(handler: Handler): grpc.handleUnaryCall<any, any> {
  return (call, callback) => {
    Promise.resolve()
      .then(() => handler(call.request, () => undefined, call))
      .then(
        (answer) => callback(null, answer),
        (error: unknown) => callback(statusOf(error)),
      );
  };
}

function streaming(handler: Handler): grpc.handleServerStreamingCall<any, any> {
  return (call) => {
    Promise.resolve()
      .then(() => handler(call.request, (message) => call.write(message), call))
      .then(
        () => call.end(),
        (error: unknown) => call.emit('error', statusOf(error)),
      );
  };
}

function statusOf(error: unknown): Partial<grpc.StatusObject> {
  const { code = grpc.status.INTERNAL, message = '' } = error as { code?: number; message?: string };
  return { code, details: message };
}

/** An error that answers a call with a status. */
export function statusError(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}
