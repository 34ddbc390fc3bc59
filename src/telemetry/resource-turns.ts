// Sends metrics of many containers in turns, each under its container's own resource, many to a request. What can't be
// sent is counted, and the next turn comes anyway.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { ResourcesExporter } from './otlp-exporters.ts';

export interface TurnsOptions<Item> {
  readonly exporter: ResourcesExporter;
  readonly intervalMs: number;
  /** Called once a turn; their number is bounded by `limits.containers`. */
  readonly items: () => Promise<readonly Item[]> | readonly Item[];
  /** Whether a stop may end a turn before all is sent: the items of a later turn tell the same. */
  readonly isCutShort: boolean;
  /** null: there is nothing to send of it. Must not reject. */
  readonly metricsOf: (item: Item) => Promise<ResourceMetrics | null> | ResourceMetrics | null;
  readonly sent: (resources: number) => void;
  readonly failed: () => void;
  /** Told of the first failed export only, and of what ends the turns. */
  readonly onError: (error: unknown) => void;
}

export interface Turns<Item> {
  /** Ends the turns, sends the last items, and waits for the request on its way, until the deadline. Never rejects. */
  shutdown(deadlineMs: number, last?: readonly Item[]): Promise<void>;
}

/** Reason: right after a start the containers aren't judged yet; a look at none costs nothing. */
const EMPTY_INTERVAL_MS = 1000;
/** Reason: Node reads files on four threads, and requests are compressed there too. */
const ITEMS_AT_ONCE = 2;
/** Reason: under the 4 MiB that grpc-go takes by default; some 500 containers. */
const REQUEST_BYTES_MAX = 2 << 20;

/** Starts the first turn at once. */
export function startTurns<Item>(options: TurnsOptions<Item>): Turns<Item> {
  const turns = new ResourceTurns(options);
  const stop = new AbortController();
  const ended = turns.run(stop.signal).catch(options.onError);
  const finish = async (last: readonly Item[]): Promise<void> => {
    await ended;
    await turns.turn(last);
    await options.exporter.shutdown();
  };
  return {
    shutdown: async (deadlineMs, last = []) => {
      stop.abort();
      const over = new AbortController();
      const deadline = sleep(deadlineMs, undefined, { signal: over.signal }).catch(() => {});
      await Promise.race([finish(last).catch(() => {}), deadline]);
      over.abort();
    },
  };
}

class ResourceTurns<Item> {
  readonly #options: TurnsOptions<Item>;
  #isErrorTold = false;

  constructor(options: TurnsOptions<Item>) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const beganMs = performance.now();
      const items = await this.#options.items();
      await this.turn(items, this.#options.isCutShort ? signal : undefined);
      const nextMs = beganMs + (items.length > 0 ? this.#options.intervalMs : EMPTY_INTERVAL_MS);
      await sleep(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch(() => {});
    }
  }

  async turn(items: readonly Item[], signal?: AbortSignal): Promise<void> {
    const waiting = items.values();
    let isDone = false;
    while (!isDone && signal?.aborted !== true) {
      const encoded: Uint8Array[] = [];
      isDone = await this.#encode(waiting, encoded);
      if (encoded.length > 0) await this.#send(encoded);
    }
  }

  /** Encodes what fills one request; true when no item is left. */
  async #encode(waiting: Iterator<Item, undefined>, encoded: Uint8Array[]): Promise<boolean> {
    let bytes = 0;
    let isDone = false;
    const encodeOn = async (): Promise<void> => {
      while (bytes < REQUEST_BYTES_MAX) {
        const next = waiting.next();
        isDone ||= next.done === true;
        if (next.done) return;
        const metrics = await this.#options.metricsOf(next.value);
        if (metrics === null) continue;
        const one = this.#options.exporter.encode(metrics);
        bytes += one.length;
        encoded.push(one);
      }
    };
    await Promise.all(Array.from({ length: ITEMS_AT_ONCE }, encodeOn));
    return isDone;
  }

  async #send(encoded: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#options.exporter.send(encoded);
      this.#options.sent(encoded.length);
    } catch (error) {
      this.#options.failed();
      if (!this.#isErrorTold) this.#options.onError(error);
      this.#isErrorTold = true;
    }
  }
}
