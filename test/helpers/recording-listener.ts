// Keeps what a runtime source told, and waits for what it is to tell; and times in which a test can see a source try
// again.
import { FOLLOW_TIMES, type FollowTimes } from '../../src/containers/runtimes/follower.ts';
import type { ContainerMetadata, RuntimeListener } from '../../src/containers/runtimes/runtime-source.ts';

/** Reason: runtimes tell within a second; other tests may share the machine's 2 cores. */
const UNTIL_TIMEOUT_MS = 30_000;

/** For runtimes that a test ends and hangs: a source notices and tries again within some 10 ms. */
export const QUICK_TIMES: FollowTimes = {
  ...FOLLOW_TIMES,
  retryFirstMs: 5,
  retryMaxMs: 50,
  pingFirstMs: 20,
  pingMs: 20,
  pingTimeoutMs: 1_000,
};

export class RecordingListener implements RuntimeListener {
  readonly changes: ContainerMetadata[] = [];
  readonly states: { readonly isAnswering: boolean; readonly reason: string }[] = [];
  readonly skips: string[] = [];
  #wake: () => void = () => undefined;

  changed(metadata: ContainerMetadata): void {
    this.changes.push(metadata);
    this.#wake();
  }

  state(isAnswering: boolean, reason: string): void {
    this.states.push({ isAnswering, reason });
    this.#wake();
  }

  skipped(reason: string): void {
    this.skips.push(reason);
    this.#wake();
  }

  /** The names under which a container was told of, in their order. */
  names(id: string): (string | undefined)[] {
    return this.changes.filter((metadata) => metadata.id === id).map(({ name }) => name);
  }

  last(id: string): ContainerMetadata | undefined {
    return this.changes.findLast((metadata) => metadata.id === id);
  }

  /** Resolves when the condition holds; it is asked after everything that is told. One caller at a time. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + UNTIL_TIMEOUT_MS;
    while (!condition()) {
      const restMs = deadline - performance.now();
      if (restMs <= 0) throw new Error(`not told in time; told: ${this.#told()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, restMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #told(): string {
    const { states, skips } = this;
    return JSON.stringify({ states, skips, changes: this.changes.map(({ id, name }) => ({ id, name })) });
  }
}
