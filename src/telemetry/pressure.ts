// Reads the pressure of the traced containers in turns and sends it by OTLP, under each container's own resource.
// Import it dynamically: it loads the SDK. What can't be read or sent is counted, and the next turn comes anyway.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attributes } from '@opentelemetry/api';
import { createResourcesExporter, type OtlpTarget, type ResourcesExporter } from './otlp-exporters.ts';
import { readGroupPressure } from './pressure-files.ts';
import { pressureMetrics } from './pressure-metrics.ts';

/** A container with a v2 group of its own. */
export interface PressedContainer {
  /** From the hierarchy's root (latin1). */
  readonly cgroupPath: string;
  /** Of its spans' resource. */
  readonly attributes: Attributes;
}

export interface PressureOptions {
  readonly target: OtlpTarget;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Where the v2 hierarchy is mounted (latin1). */
  readonly mountPoint: string;
  /** Called once a turn; their number is bounded by `limits.containers`. */
  readonly containers: () => readonly PressedContainer[];
  /** Told of the first failed export only, and of what ends the turns. */
  readonly onError: (error: unknown) => void;
  readonly intervalMs?: number;
}

/** Only grow. */
export interface PressureCounts {
  pressure_resources_sent: number;
  pressure_files_unreadable: number;
  pressure_requests_failed: number;
}

export interface Pressure {
  readonly counts: Readonly<PressureCounts>;
  /** Ends the turns and waits for the request on its way, until the deadline. Never rejects. */
  shutdown(deadlineMs: number): Promise<void>;
}

/** Reason: the kernel's shortest average is over 10 s. A turn that takes longer is followed by the next at once. */
const INTERVAL_MS = 10_000;
/** Reason: right after a start the containers aren't judged yet; a look at none costs nothing. */
const EMPTY_INTERVAL_MS = 1000;
/** Reason: Node reads files on four threads, and requests are compressed there too. */
const GROUPS_AT_ONCE = 2;
/** Reason: under the 4 MiB that grpc-go takes by default; some 500 containers. */
const REQUEST_BYTES_MAX = 2 << 20;

/** Starts the first turn at once. Rejects only when the exporter refuses its settings. */
export async function startPressure(options: PressureOptions): Promise<Pressure> {
  const intervalMs = options.intervalMs ?? INTERVAL_MS;
  const timeoutMs = Math.min(options.target.timeoutMs, INTERVAL_MS);
  const exporter = await createResourcesExporter({ ...options.target, timeoutMs }, options.environment);
  const turns = new PressureTurns(options, exporter);
  const stop = new AbortController();
  const ended = turns.run(intervalMs, stop.signal).catch(options.onError);
  return {
    counts: turns.counts,
    shutdown: async (deadlineMs) => {
      stop.abort();
      const over = new AbortController();
      const deadline = sleep(deadlineMs, undefined, { signal: over.signal }).catch(() => {});
      await Promise.race([ended.then(() => exporter.shutdown()).catch(() => {}), deadline]);
      over.abort();
    },
  };
}

class PressureTurns {
  readonly counts: PressureCounts = {
    pressure_resources_sent: 0,
    pressure_files_unreadable: 0,
    pressure_requests_failed: 0,
  };
  readonly #options: PressureOptions;
  readonly #exporter: ResourcesExporter;
  #isErrorTold = false;

  constructor(options: PressureOptions, exporter: ResourcesExporter) {
    this.#options = options;
    this.#exporter = exporter;
  }

  async run(intervalMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const beganMs = performance.now();
      const containers = this.#options.containers();
      await this.#turn(containers.values(), signal);
      const nextMs = beganMs + (containers.length > 0 ? intervalMs : EMPTY_INTERVAL_MS);
      await sleep(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch(() => {});
    }
  }

  async #turn(waiting: Iterator<PressedContainer, undefined>, signal: AbortSignal): Promise<void> {
    let isDone = false;
    while (!isDone && !signal.aborted) {
      const encoded: Uint8Array[] = [];
      isDone = await this.#read(waiting, encoded);
      if (encoded.length > 0) await this.#send(encoded);
    }
  }

  /** Reads what fills one request; true when no container is left. */
  async #read(waiting: Iterator<PressedContainer, undefined>, encoded: Uint8Array[]): Promise<boolean> {
    let bytes = 0;
    let isDone = false;
    const readOn = async (): Promise<void> => {
      while (bytes < REQUEST_BYTES_MAX) {
        const next = waiting.next();
        isDone ||= next.done === true;
        if (next.done) return;
        const one = await this.#readOne(next.value);
        if (one === null) continue;
        bytes += one.length;
        encoded.push(one);
      }
    };
    await Promise.all(Array.from({ length: GROUPS_AT_ONCE }, readOn));
    return isDone;
  }

  async #readOne({ cgroupPath, attributes }: PressedContainer): Promise<Uint8Array | null> {
    const { mountPoint, version } = this.#options;
    const { lines, unreadable } = await readGroupPressure(join(mountPoint, cgroupPath));
    this.counts.pressure_files_unreadable += unreadable;
    if (lines.length === 0) return null;
    return this.#exporter.encode(pressureMetrics(attributes, lines, Date.now(), version));
  }

  async #send(encoded: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#exporter.send(encoded);
      this.counts.pressure_resources_sent += encoded.length;
    } catch (error) {
      this.counts.pressure_requests_failed += 1;
      if (!this.#isErrorTold) this.#options.onError(error);
      this.#isErrorTold = true;
    }
  }
}
