// `fdspan run`: starts the collector, and stops it when it is told to.
import { Collector } from '../collector.ts';
import { BpfError } from '../bpf/bpf-object.ts';
import { LibbpfMissingError } from '../bpf/libbpf.ts';
import { sendDatagram } from '../bpf/libc.ts';
import type { Config } from '../config/schema.ts';
import { Exporter } from '../export/exporter.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { lawViolations } from '../telemetry/summary.ts';
import { version, type CommandIo } from './command-line.ts';
import { configOf } from './config-arguments.ts';
import { EXIT_BUG, EXIT_NOT_PERMITTED, EXIT_OK, EXIT_UNAVAILABLE } from './exit-codes.ts';

/** Runs until SIGTERM or SIGINT. */
export async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const loaded = configOf('run', args, io);
  if (typeof loaded === 'number') return loaded;
  const { config } = loaded;
  const log = createLogger({
    level: config.telemetry.logLevel,
    stream: io.stderr,
    isTerminal: io.stderr.isTTY === true,
  });
  const stopAsked = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => resolve(signal));
  });
  const collector = await start(config, log);
  if (typeof collector === 'number') return collector;
  notify(io.env, 'READY=1');
  log.info('ready', { version: version(), attach: 'tracepoint', scope: collector.scope.explanation });
  const failure = await Promise.race([stopAsked, collector.failed.catch((error: Error) => error)]);
  notify(io.env, 'STOPPING=1');
  if (failure instanceof Error) {
    log.error(failure.message, { stack: failure.stack });
    return EXIT_BUG;
  }
  const counters = await collector.stop();
  for (const violation of lawViolations(counters)) log.error('the law of conservation is broken', { violation });
  log.flush();
  log.info('summary', { counters });
  return EXIT_OK;
}

async function start(config: Config, log: Logger): Promise<Collector | number> {
  try {
    return await Collector.start({
      config,
      version: version(),
      log,
      makeSink: (counters) => new Exporter(exportOptions(config), counters, log),
    });
  } catch (error) {
    return explainStart(error as Error & { code?: string }, log);
  }
}

function exportOptions(config: Config): ConstructorParameters<typeof Exporter>[0] {
  const { queue, ...rest } = config.export;
  return {
    ...rest,
    queueBytesMax: queue.bytesMax,
    requestsInFlightMax: queue.requestsInFlight,
    userAgent: `fdspan/${version()}`,
  };
}

function explainStart(error: Error & { code?: string }, log: Logger): number {
  if (error instanceof BpfError && error.isPermission) {
    log.error('not permitted to load BPF programs', {
      error: error.message,
      cure: 'run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_DAC_READ_SEARCH',
    });
    return EXIT_NOT_PERMITTED;
  }
  if (error instanceof BpfError || error instanceof LibbpfMissingError || error.code === 'KERNEL_UNFIT') {
    log.error("this host can't be traced", { error: error.message, cure: 'fdspan doctor tells more' });
    return EXIT_UNAVAILABLE;
  }
  throw error;
}

function notify(env: NodeJS.ProcessEnv, state: string): void {
  if (env.NOTIFY_SOCKET !== undefined) sendDatagram(env.NOTIFY_SOCKET, state);
}
