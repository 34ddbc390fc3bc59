// `fdspan tail` without a running collector: starts one in this process that has no backend, and turns
// what it seals into the same messages as the control socket.
import type { TailMessage, TailStats } from '../telemetry/control-protocol.ts';
import { RowBudget } from '../telemetry/span-rows.ts';

/** A collector in this process, as `tail` needs it. */
export interface LocalCollector {
  counters(): Readonly<Record<string, number>>;
  /** Rejects when the collector can't go on. */
  readonly failed: Promise<never>;
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
  #failure: Error | null = null;

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

  /** What waits is still read; then the reader ends, or gets the failure thrown. */
  end(failure: Error | null = null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#failure = failure;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TailMessage> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        if (message.type === 'rows') this.#rows -= message.rows.length;
        yield message;
      } else if (this.#isEnded) {
        if (this.#failure !== null) throw this.#failure;
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
): Promise<AsyncIterable<TailMessage>> {
  const budget = new RowBudget();
  const queue = new MessageQueue();
  const total = { spans: 0, skipped: 0, dropped: 0 };
  const collector = await start({ onRequest });
  let last: Readonly<Record<string, number>> = {};
  collector.failed.catch((error: Error) => finish(error));
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
    last = collector.counters();
    const stats: TailStats = { ...total, counters: last };
    queue.push({ type: 'stats', stats });
  }

  function finish(failure: Error | null): void {
    clearInterval(timer);
    queue.end(failure);
  }

  /** After the stop nothing of the kernel's is mapped: the last counters are those of before. */
  async function stop(): Promise<void> {
    clearInterval(timer);
    try {
      await collector.stop();
      queue.push({ type: 'stats', stats: { ...total, counters: last } });
      finish(null);
    } catch (error) {
      finish(error as Error);
    }
  }
}
