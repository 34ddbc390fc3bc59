// One runtime's source with what its answers cost so far: it is given so long for each, and is left out for a while after
// it failed again and again.
import { backoffMs } from '../model/backoff.ts';
import type { ContainerMetadata, ContainerQuestion, RuntimeSource } from './runtimes/runtime-source.ts';

/** Reason: runtimes answer in 2–60 ms, docker in 300 while it starts the container; a busy machine takes longer. */
const ASK_TIMEOUT_MS = 2000;
/** Reason: torn files and the like pass at once; a second failure in a row is the runtime's. */
const FAILURES_TO_PAUSE = 2;
const PAUSE_MS = { first: 1000, max: 60_000 };

export class AskedSource {
  readonly #source: RuntimeSource;
  readonly #state: (isAnswering: boolean, reason: string) => void;
  readonly #asking = new Set<AbortController>();
  #failures = 0;
  /** Failures in a row, of which those that began together count once. */
  #failuresInRow = 0;
  #failedMs = -Infinity;
  #pausedUntilMs = 0;

  /** A user's own runtime: forgotten when its socket is gone. */
  readonly isUsers: boolean;

  /** `state` is told once when it fails again and again, and once when an answer comes again. */
  constructor(source: RuntimeSource, state: (isAnswering: boolean, reason: string) => void, isUsers = false) {
    this.#source = source;
    this.#state = state;
    this.isUsers = isUsers;
  }

  get name(): string {
    return this.#source.name;
  }

  get fullName(): string {
    return `${this.#source.name} (${this.#source.address})`;
  }

  /** Whether it is left out now. */
  get isPaused(): boolean {
    return performance.now() < this.#pausedUntilMs;
  }

  /** Questions that got no answer; only grows. */
  get failures(): number {
    return this.#failures;
  }

  /** Asks; null when the runtime doesn't know the container, fails, takes too long, or is left out now. Never rejects. */
  async find(question: ContainerQuestion): Promise<ContainerMetadata | null> {
    const beganMs = performance.now();
    if (beganMs < this.#pausedUntilMs) return null;
    const controller = new AbortController();
    const timer = setTimeout(
      () => controller.abort(new Error(`no answer in ${ASK_TIMEOUT_MS} ms`)),
      ASK_TIMEOUT_MS,
    );
    this.#asking.add(controller);
    try {
      const answer = await unlessAborted(this.#source.find(question, controller.signal), controller.signal);
      const wasPaused = this.#failuresInRow >= FAILURES_TO_PAUSE;
      this.#failuresInRow = 0;
      if (wasPaused) this.#state(true, '');
      return answer === null ? null : { ...answer, toldBy: this.#source.name };
    } catch (error) {
      if (this.#asking.has(controller)) this.#failed(beganMs, error);
      return null;
    } finally {
      clearTimeout(timer);
      this.#asking.delete(controller);
    }
  }

  /** Asks again at once: the runtime is back. */
  resume(): void {
    this.#failuresInRow = 0;
    this.#pausedUntilMs = 0;
  }

  /** Ends the source; what it is being asked is answered with null. */
  close(): void {
    const asking = [...this.#asking];
    this.#asking.clear();
    for (const controller of asking) controller.abort(new Error('fdspan stops'));
    this.#source.close();
  }

  #failed(beganMs: number, error: unknown): void {
    this.#failures += 1;
    // Began before it was known that the runtime doesn't answer: the same failure.
    if (beganMs <= this.#failedMs) return;
    this.#failedMs = performance.now();
    this.#failuresInRow += 1;
    if (this.#failuresInRow < FAILURES_TO_PAUSE) return;
    this.#pausedUntilMs = this.#failedMs + backoffMs(this.#failuresInRow - 1, PAUSE_MS.first, PAUSE_MS.max);
    if (this.#failuresInRow > FAILURES_TO_PAUSE) return;
    this.#state(false, error instanceof Error ? error.message : String(error));
  }
}

/** A source may hold on to its own question; who asked is free at the deadline. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    answer.then(resolve, reject);
  });
}
