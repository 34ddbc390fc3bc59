// The collector that `fdspan tail` starts in its own process when none runs: the whole of it, but what is
// sealed goes to the table instead of a backend.
import { BpfError } from '../bpf/bpf-object.ts';
import { LibbpfMissingError } from '../bpf/libbpf.ts';
import { Collector } from '../collector.ts';
import type { Config } from '../config/config.ts';
import { counterIndex } from '../model/counters.ts';
import { createLogger, type LogStream } from '../telemetry/log.ts';
import { version } from './command-io.ts';
import { EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE } from './exit-codes.ts';
import type { LocalStarter } from './tail-local.ts';

/** Why this host can't be traced, for the user, with the exit code. */
export interface StartRefusal {
  readonly message: string;
  readonly exitCode: number;
}

/** Tells a refusal of the host from a bug: null for the latter. */
export function refusalOf(error: unknown): StartRefusal | null {
  if (!(error instanceof Error)) return null;
  if (error instanceof BpfError && error.isPermission) {
    const cure = 'run as root, or with CAP_BPF and CAP_PERFMON';
    return { message: `${error.message}; ${cure}`, exitCode: EXIT_NOT_PERMITTED };
  }
  const isUnfit = (error as { code?: unknown }).code === 'KERNEL_UNFIT';
  if (!isUnfit && !(error instanceof BpfError) && !(error instanceof LibbpfMissingError)) return null;
  return { message: `${error.message}; fdspan doctor tells more`, exitCode: EXIT_UNAVAILABLE };
}

/** Returns the starter for a configuration. Only warnings and errors of the collector are logged. */
export function localStarter(
  config: Config,
  io: { readonly stderr: LogStream & { readonly isTTY?: boolean } },
): LocalStarter {
  return async ({ onRequest }) => {
    const log = createLogger({ level: 'warn', stream: io.stderr, isTerminal: io.stderr.isTTY === true });
    const collector = await Collector.start({
      config,
      version: version(),
      log,
      makeSink: (counters) => ({
        enqueue: (request, spans) => {
          counters[counterIndex('spans_accepted')] += spans;
          onRequest(request);
        },
        flush: async () => {},
        close: () => {},
        inFlightSpans: 0,
        queuedBytes: 0,
      }),
    });
    return {
      counters: () => collector.counters(),
      failed: collector.failed,
      stop: async () => {
        await collector.stop();
      },
    };
  };
}
