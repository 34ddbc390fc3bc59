// SIGTERM and SIGINT: the first asks for a stop in order, a second one for an end at once.

/** Reason: Ctrl-C below `npm run` arrives twice, from the terminal and from npm; nobody presses it twice that fast. */
const ONE_KEY_MS = 250;

export interface StopSignals {
  /** Resolves with the name of the first signal. */
  readonly first: Promise<string>;
  /** Resolves when one more came. */
  readonly second: Promise<string>;
}

export function listenForStop(): StopSignals {
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<string>();
  let firstMs: number | null = null;
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      const now = performance.now();
      if (firstMs === null) first.resolve(signal);
      else if (now - firstMs >= ONE_KEY_MS) second.resolve(signal);
      firstMs ??= now;
    });
  }
  return { first: first.promise, second: second.promise };
}
