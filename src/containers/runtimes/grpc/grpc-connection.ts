// A gRPC client of one unix socket, for the services of containerd and of the Kubernetes container runtime interface.
// Its packages are loaded with the first call: 60 ms and 20 MB that a host without such a socket doesn't pay.
import { fileURLToPath } from 'node:url';
import type * as Grpc from '@grpc/grpc-js';
import type { AnyDefinition, PackageDefinition } from '@grpc/proto-loader';
import { fieldsOf, type Fields } from '../fields.ts';
import { shortReason } from '../reason.ts';
import { ANSWER_BYTES_MAX } from '../runtime-source.ts';

export const GRPC_UNKNOWN = 2;
export const GRPC_NOT_FOUND = 5;
export const GRPC_UNIMPLEMENTED = 12;
const GRPC_UNAVAILABLE = 14;

/** Where protos lie: beside this file in src/, and copied to the same place in dist/ (scripts/build.sh). */
const PROTO_FOLDER = new URL('./proto/', import.meta.url);

/** A call that was answered by an error, or by nothing that can be understood. */
export class GrpcCallError extends Error {
  /** The gRPC status code. */
  readonly code: number;
  constructor(message: string, code: number, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

interface Loaded {
  readonly grpc: typeof Grpc;
  readonly definitions: PackageDefinition;
}

/** Metadata that goes with a call; values are printable ASCII. */
export type CallHeaders = Readonly<Record<string, string>>;

export class GrpcConnection {
  readonly #socketPath: string;
  readonly #protoFiles: readonly string[];
  readonly #closed = new AbortController();
  #loaded: Promise<Loaded> | null = null;
  #client: Grpc.Client | null = null;

  /** Connects with the first call. `protoFiles` are names in proto/. */
  constructor(socketPath: string, protoFiles: readonly string[]) {
    this.#socketPath = socketPath;
    this.#protoFiles = protoFiles;
  }

  /**
   * Calls `package.Service/Method` and returns the answer. Rejects with {@link GrpcCallError}, or with the signal's
   * reason.
   */
  async call(method: string, request: Fields, signal: AbortSignal, headers?: CallHeaders): Promise<Fields> {
    const { client, definition, metadata, ended } = await this.#prepare(method, signal, headers);
    return new Promise<Fields>((resolve, reject) => {
      const call = client.makeUnaryRequest<Fields, Fields>(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        metadata,
        (error, answer) => {
          ended.removeEventListener('abort', cancel);
          if (error !== null) reject(this.#failure(method, error, ended, client));
          else resolve(fieldsOf(answer));
        },
      );
      const cancel = (): void => call.cancel();
      ended.addEventListener('abort', cancel, { once: true });
    });
  }

  /**
   * Calls a method that answers with a stream; each message goes to `take`, which must not throw. Resolves when
   * the server ends the stream, rejects as {@link call} does.
   */
  async stream(
    method: string,
    request: Fields,
    signal: AbortSignal,
    take: (message: Fields) => void,
  ): Promise<void> {
    const { client, definition, metadata, ended } = await this.#prepare(method, signal);
    return new Promise<void>((resolve, reject) => {
      const call = client.makeServerStreamRequest<Fields, Fields>(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        metadata,
      );
      const cancel = (): void => call.cancel();
      ended.addEventListener('abort', cancel, { once: true });
      call.on('data', (message: unknown) => take(fieldsOf(message)));
      call.on('error', (error: Grpc.ServiceError) => {
        ended.removeEventListener('abort', cancel);
        reject(this.#failure(method, error, ended, client));
      });
      call.on('end', () => {
        ended.removeEventListener('abort', cancel);
        resolve();
      });
    });
  }

  /** Decodes a message of the loaded protos; no fields where the bytes are none of it. After a first call only. */
  async decode(typeName: string, bytes: unknown): Promise<Fields> {
    const type = (await this.#load()).definitions[typeName];
    if (!Buffer.isBuffer(bytes) || !isMessage(type)) return {};
    try {
      return fieldsOf(type.deserialize(bytes));
    } catch {
      return {};
    }
  }

  /** Ends the connection; calls in flight reject, and so do later ones. */
  close(): void {
    this.#closed.abort(new Error(`the connection to ${this.#socketPath} was closed`));
    this.#client?.close();
    this.#client = null;
  }

  async #prepare(method: string, signal: AbortSignal, headers: CallHeaders = {}) {
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    const { grpc, definitions } = await this.#load();
    ended.throwIfAborted();
    const [service, name] = method.split('/');
    const services = definitions[service] as Record<string, Grpc.MethodDefinition<Fields, Fields>>;
    const metadata = new grpc.Metadata();
    for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
    this.#client ??= this.#connect(grpc);
    return { client: this.#client, definition: services[name], metadata, ended };
  }

  #connect(grpc: typeof Grpc): Grpc.Client {
    return new grpc.Client(`unix:${this.#socketPath}`, grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      // The shared pool would keep the waiting time of a connection that failed.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  #load(): Promise<Loaded> {
    return (this.#loaded ??= loadPackages(this.#protoFiles));
  }

  #failure(method: string, error: Grpc.ServiceError, ended: AbortSignal, client: Grpc.Client): Error {
    if (ended.aborted) return ended.reason as Error;
    // A client waits after a failed connection; a new one tries at once, and the callers have their own pace.
    if (Number(error.code) === GRPC_UNAVAILABLE && this.#client === client) {
      this.#client = null;
      client.close();
    }
    const reason = shortReason(error.details);
    const message = `calling ${method} on ${this.#socketPath}: gRPC status ${error.code}: ${reason}`;
    return new GrpcCallError(message, error.code, error);
  }
}

async function loadPackages(protoFiles: readonly string[]): Promise<Loaded> {
  const [grpc, loader] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')]);
  const paths = protoFiles.map((name) => fileURLToPath(new URL(name, PROTO_FOLDER)));
  const definitions = await loader.load(paths, {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  return { grpc, definitions };
}

function isMessage(
  type: AnyDefinition | undefined,
): type is Extract<AnyDefinition, { format: 'Protocol Buffer 3 DescriptorProto' }> {
  return type !== undefined && 'deserialize' in type;
}
