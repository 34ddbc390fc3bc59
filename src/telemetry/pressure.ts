// Reads the pressure of the traced containers in turns and sends it by OTLP, under each container's own resource.
// Import it dynamically: it loads the SDK. What can't be read or sent is counted, and the next turn comes anyway.
import { join } from 'node:path';
import type { Attributes } from '@opentelemetry/api';
import { createResourcesExporter } from './otlp-exporters.ts';
import type { OtlpTarget } from './otlp-target.ts';
import { readGroupPressure } from './pressure-files.ts';
import { pressureMetrics } from './pressure-metrics.ts';
import { startTurns } from './resource-turns.ts';

/** A container with a v2 group of its own. */
export interface PressedContainer {
  /** From the hierarchy's root (latin1). */
  readonly cgroupPath: string;
  /** Of its spans' resource. */
  readonly attributes: Attributes;
}

export interface PressureOptions {
  readonly target: OtlpTarget;
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

/** Starts the first turn at once. Rejects only when the exporter refuses its settings. */
export async function startPressure(options: PressureOptions): Promise<Pressure> {
  const timeoutMs = Math.min(options.target.timeoutMs, INTERVAL_MS);
  const counts: PressureCounts = {
    pressure_resources_sent: 0,
    pressure_files_unreadable: 0,
    pressure_requests_failed: 0,
  };
  const turns = startTurns({
    exporter: await createResourcesExporter({ ...options.target, timeoutMs }),
    intervalMs: options.intervalMs ?? INTERVAL_MS,
    items: options.containers,
    isCutShort: true,
    metricsOf: async ({ cgroupPath, attributes }: PressedContainer) => {
      const { lines, unreadable } = await readGroupPressure(join(options.mountPoint, cgroupPath));
      counts.pressure_files_unreadable += unreadable;
      return lines.length === 0 ? null : pressureMetrics(attributes, lines, Date.now(), options.version);
    },
    sent: (resources) => (counts.pressure_resources_sent += resources),
    failed: () => (counts.pressure_requests_failed += 1),
    onError: options.onError,
  });
  return { counts, shutdown: (deadlineMs) => turns.shutdown(deadlineMs) };
}
