// A real OTLP receiver on loopback, for every test that needs a backend: it decompresses, decodes (by
// protobufjs, independent of fdspan's own encoder) and keeps what it was sent, and misbehaves when told to.
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { setTimeout as delay } from 'node:timers/promises';
import { countSpans, decodeSpans, type ReceivedSpan } from './otlp-messages.ts';
import { listenGrpcJs } from './otlp-receiver-grpc-js.ts';
import { listenGrpc } from './otlp-receiver-grpc.ts';
import { isRoot } from './traces.ts';
import { listenHttp } from './otlp-receiver-http.ts';

export type { ReceivedSpan } from './otlp-messages.ts';

/** What to do with one request. */
export type Behaviour =
  | { readonly type: 'accept' }
  | { readonly type: 'partial'; readonly rejectedSpans: number; readonly message: string }
  /** An HTTP status; with grpc, that of a proxy in front of the backend. */
  | {
      readonly type: 'http-status';
      readonly status: number;
      readonly retryAfter?: string;
      readonly message?: string;
      readonly location?: string;
    }
  /** A grpc status (grpc only). */
  | {
      readonly type: 'grpc-status';
      readonly code: number;
      readonly message?: string;
      readonly retryDelayMs?: number;
      readonly isTrailersOnly?: boolean;
    }
  /** Takes the request, and never answers: what it holds is lost, or accepted all the same. */
  | { readonly type: 'hang' }
  | { readonly type: 'accept-and-hang' }
  /** Resets the connection in the middle of the request. */
  | { readonly type: 'reset' }
  /** Accepts, and reads so slowly: a pause after each piece of the request. */
  | { readonly type: 'slow'; readonly pauseMs: number }
  /** Kills its own process in the middle of the request. */
  | { readonly type: 'die' }
  /** Answers, and then takes no more on this connection (GOAWAY, Connection: close). */
  | { readonly type: 'accept-and-close' }
  /** Says yes with bytes that are no OTLP answer. */
  | { readonly type: 'garbage' }
  /** Says yes with an answer of this many bytes. */
  | { readonly type: 'huge'; readonly bytes: number };

export interface ReceiverOptions {
  readonly protocol: 'grpc' | 'http/protobuf';
  /** The server's PEM texts; with `ca`, clients must show a certificate that it signed. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** For one request each, in order of arrival; afterwards `otherwise`. */
  readonly behaviours?: readonly Behaviour[];
  readonly otherwise?: Behaviour;
  /** Others are refused as grpc-go and the Collector do. */
  readonly acceptEncodings?: readonly string[];
  /** 0, the default: any free port. */
  readonly port?: number;
  /** An address of loopback; 127.0.0.1 by default. */
  readonly host?: string;
  /** For grpc: node:http2 (every behaviour and encoding), or the official server (accept, partial, grpc-status, hang; no zstd). */
  readonly server?: 'http2' | 'grpc-js';
  /** For grpc-js: each connection is ended after it, in good order (GOAWAY). */
  readonly connectionAgeMs?: number;
  /** `count`: requests are counted and thrown away, `spans` stays empty; for endless load. */
  readonly decode?: 'spans' | 'count';
  /** Gets each accepted request, decompressed, as it comes. */
  readonly watch?: (request: Buffer, receivedMs: number) => void;
}

export interface ReceivedRequest {
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly encoding: string;
  /** As sent, compressed. */
  readonly bodyBytes: number;
  readonly spans: number;
  readonly behaviour: Behaviour['type'];
  readonly receivedMs: number;
}

/** What the servers hand over: one whole request. */
export interface Arrival {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly encoding: string;
  readonly body: Buffer;
}

/** What the servers ask of the receiver. */
export interface Desk {
  readonly options: ReceiverOptions;
  /** Decides what happens to the next request; called when its headers are there. */
  nextBehaviour(): Behaviour;
  /** Notes a whole request, and keeps its spans if they are accepted. Throws when it can't be decoded. */
  take(arrival: Arrival, behaviour: Behaviour): void;
}

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

export class OtlpReceiver {
  readonly endpoint: string;
  readonly port: number;
  readonly requests: readonly ReceivedRequest[];
  readonly #state: ReceiverState;
  readonly #listening: Listening;

  constructor(state: ReceiverState, listening: Listening) {
    this.#state = state;
    this.#listening = listening;
    this.requests = state.requests;
    this.port = listening.port;
    this.endpoint = `${state.options.tls === undefined ? 'http' : 'https'}://${state.options.host ?? '127.0.0.1'}:${listening.port}`;
  }

  /** The accepted spans but for roots, in order of arrival, decoded when first asked for. */
  get spans(): readonly ReceivedSpan[] {
    return this.#state.spans().filter((span) => !isRoot(span));
  }

  /** The accepted roots of traces. */
  get roots(): readonly ReceivedSpan[] {
    return this.#state.spans().filter(isRoot);
  }

  /** How many spans were accepted; cheap. */
  get spanCount(): number {
    return this.#state.spanCount;
  }

  /** Encodings of the requests in the order they came. */
  get encodings(): readonly string[] {
    return this.requests.map(({ encoding }) => encoding);
  }

  /** Adds behaviours for the next requests. */
  behave(...behaviours: Behaviour[]): void {
    this.#state.behaviours.push(...behaviours);
  }

  /** Sets what happens to requests that no behaviour was given for. */
  set otherwise(behaviour: Behaviour) {
    this.#state.otherwise = behaviour;
  }

  /** Resolves when the predicate holds; it is asked now and after each request. Rejects after `timeoutMs`. */
  waitFor(predicate: (receiver: this) => boolean, timeoutMs = 10_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const ask = (): void => {
        if (!predicate(this)) return;
        clearTimeout(timer);
        this.#state.listeners.delete(ask);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#state.listeners.delete(ask);
        const seen = `${this.requests.length} requests, ${this.spanCount} spans`;
        reject(new Error(`not seen within ${timeoutMs} ms: ${predicate.toString()} (${seen})`));
      }, timeoutMs);
      this.#state.listeners.add(ask);
      ask();
    });
  }

  /** Closes the port and every connection. */
  async close(): Promise<void> {
    await this.#listening.close();
  }
}

const ACCEPTING: readonly Behaviour['type'][] = [
  'accept',
  'accept-and-close',
  'accept-and-hang',
  'partial',
  'garbage',
  'huge',
  'slow',
];

class ReceiverState implements Desk {
  readonly options: ReceiverOptions;
  readonly requests: ReceivedRequest[] = [];
  readonly behaviours: Behaviour[];
  readonly listeners = new Set<() => void>();
  otherwise: Behaviour;
  spanCount = 0;
  readonly #undecoded: Buffer[] = [];
  readonly #spans: ReceivedSpan[] = [];

  constructor(options: ReceiverOptions) {
    this.options = options;
    this.behaviours = [...(options.behaviours ?? [])];
    this.otherwise = options.otherwise ?? { type: 'accept' };
  }

  spans(): readonly ReceivedSpan[] {
    for (const request of this.#undecoded.splice(0)) {
      for (const span of decodeSpans(request)) this.#spans.push(span);
    }
    return this.#spans;
  }

  nextBehaviour(): Behaviour {
    return this.behaviours.shift() ?? this.otherwise;
  }

  take({ path, headers, encoding, body }: Arrival, behaviour: Behaviour): void {
    const request = decompress(body, encoding);
    const spans = countSpans(request);
    if (ACCEPTING.includes(behaviour.type)) {
      this.spanCount += spans;
      if (this.options.decode !== 'count') this.#undecoded.push(request);
    }
    const receivedMs = performance.now();
    if (ACCEPTING.includes(behaviour.type)) this.options.watch?.(request, receivedMs);
    const rest = { bodyBytes: body.length, spans, behaviour: behaviour.type, receivedMs };
    this.requests.push({ path, headers, encoding, ...rest });
    for (const listener of [...this.listeners]) setImmediate(listener);
  }
}

function decompress(body: Buffer, encoding: string): Buffer {
  if (encoding === 'gzip') return gunzipSync(body);
  if (encoding === 'zstd') return zstdDecompressSync(body);
  if (encoding === 'identity') return body;
  throw new Error(`unknown encoding ${encoding}`);
}

/** Does to the piece of a request that just came what is done before its end; true: nothing more is read. */
export async function sufferPiece(behaviour: Behaviour, reset: () => void): Promise<boolean> {
  if (behaviour.type === 'die') process.kill(process.pid, 'SIGKILL');
  if (behaviour.type === 'slow') await delay(behaviour.pauseMs);
  if (behaviour.type === 'reset') reset();
  return behaviour.type === 'reset' || behaviour.type === 'die';
}

/** Starts a receiver on loopback. All spans of a partial success are kept: which were rejected is not said. */
export async function startReceiver(options: ReceiverOptions): Promise<OtlpReceiver> {
  const state = new ReceiverState(options);
  const listen =
    options.protocol !== 'grpc' ? listenHttp : options.server === 'grpc-js' ? listenGrpcJs : listenGrpc;
  return new OtlpReceiver(state, await listen(state));
}
