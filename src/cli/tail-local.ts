// `fdspan tail` without a running collector: starts one in this process that has no backend, and turns
// what it seals into the same messages as the control socket.
import type { TailMessage, TailStats } from '../telemetry/control-protocol.ts';
import { RowBudget } from '../telemetry/span-rows.ts';

/** A collector in this process, as `tail` needs it. */
export interface LocalCollector {
  counters(): Readonly<Record<string, number>>;
  /** Detaches, drains, and resolves when the last request was offered. */
  stop(): Promise<void>;
}

/** Starts a collector that gives each sealed request to `onRequest` (to be read before it returns). */
export type LocalStarter = (options: {
  readonly onRequest: (request: Uint8Array) => void;
}) => Promise<LocalCollector>;

const STATS_INTERVAL_MS = 1000;

/** Reason: at 500 rows a second, two seconds of a terminal that doesn't read. Overflow: `dropped`. */
const WAITING_ROWS_MAX = 1000;

class MessageQueue {
  readonly #messages: TailMessage[] = [];
  #rows = 0;
  #wake: (() => void) | null = null;
  #isEnded = false;

  /** Returns false when the rows don't fit. */
  push(message: TailMessage): boolean {
    if (message.type === 'rows') {
      if (this.#rows + message.rows.length > WAITING_ROWS_MAX) return false;
      this.#rows += message.rows.length;
    }
    this.#messages.push(message);
    this.#wake?.();
    return true;
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TailMessage> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        if (message.type === 'rows') this.#rows -= message.rows.length;
        yield message;
      } else if (this.#isEnded) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = null;
      }
    }
  }
}

/**
 * Starts the collector and returns its messages; the stream ends, after a drain, when `signal` aborts.
 * Rejects as the starter does. A consumer that leaves early must abort `signal`.
 */
export async function openLocal(
  start: LocalStarter,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<AsyncIterable<TailMessage>> {
  const budget = new RowBudget();
  const queue = new MessageQueue();
  const total = { spans: 0, skipped: 0, dropped: 0 };
  const collector = await start({ onRequest });
  const timer = setInterval(pushStats, STATS_INTERVAL_MS);
  if (signal.aborted) void stop();
  else signal.addEventListener('abort', () => void stop(), { once: true });
  pushStats();
  return queue;

  function onRequest(request: Uint8Array): void {
    const { rows, spans, skipped } = budget.decode(request);
    total.spans += spans;
    total.skipped += skipped;
    if (rows.length > 0 && !queue.push({ type: 'rows', rows })) total.dropped += rows.length;
  }

  function pushStats(): void {
    const stats: TailStats = { ...total, counters: collector.counters() };
    queue.push({ type: 'stats', stats });
  }

  async function stop(): Promise<void> {
    clearInterval(timer);
    try {
      await collector.stop();
      pushStats();
    } catch (error) {
      onError(error);
    } finally {
      queue.end();
    }
  }
}
