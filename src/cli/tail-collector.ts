// The collector that `fdspan tail` starts in its own process when none runs: the whole of it, but what is
// sealed goes to the table instead of a backend.
import { Collector } from '../collector.ts';
import type { Config } from '../config/config.ts';
import { counterIndex } from '../model/counters.ts';
import { createLogger, type LogStream } from '../telemetry/log.ts';
import { version } from './command-io.ts';
import type { LocalStarter } from './tail-local.ts';

/** Returns the starter for a configuration. Only warnings and errors of the collector are logged. */
export function localStarter(
  config: Config,
  io: { readonly stderr: LogStream & { readonly isTTY?: boolean } },
): LocalStarter {
  return async ({ onRequest }) => {
    const log = createLogger({ level: 'warn', stream: io.stderr, isTerminal: io.stderr.isTTY === true });
    const collector = await Collector.start({
      // What another collector knows of open files is not ours to replace.
      config: { ...config, control: { ...config.control, stateFile: null } },
      version: version(),
      log,
      makeSink: (counters) => ({
        enqueue: (request, spans) => {
          counters[counterIndex('spans_accepted')] += spans;
          onRequest(request);
        },
        flush: async () => {},
        close: () => {},
        unsettledSpans: 0,
        queuedBytes: 0,
        hasRoom: true,
        spool: null,
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
