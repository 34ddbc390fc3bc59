// `fdspan run`: starts the collector, and stops it when it is told to.
import { readFileSync } from 'node:fs';
import { Collector } from '../collector.ts';
import { BpfError } from '../bpf/bpf-object.ts';
import { LibbpfMissingError } from '../bpf/libbpf.ts';
import { sendDatagram } from '../bpf/libc.ts';
import type { Config } from '../config/config.ts';
import { Exporter } from '../export/exporter.ts';
import { ControlServer } from '../telemetry/control-server.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { OtlpTarget } from '../telemetry/otlp-exporters.ts';
import { createSdNotifier } from '../telemetry/sd-notify.ts';
import { lawViolations } from '../telemetry/summary.ts';
import { version, type CommandIo } from './command-io.ts';
import { configOf } from './config-arguments.ts';
import { EXIT_BUG, EXIT_NOT_PERMITTED, EXIT_OK, EXIT_UNAVAILABLE } from './exit-codes.ts';
import type { CollectorStatus } from './status.ts';

const ATTACH_MODE = 'tracepoint';
/** Reason: the spans of containers come first in the time that a stop has. */
const OWN_TELEMETRY_DEADLINE_MS = 2000;

/** Runs until SIGTERM or SIGINT. */
export async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const loaded = configOf('run', args, io);
  if (typeof loaded === 'number') return loaded;
  const { config } = loaded;
  const beganUnixMs = Date.now();
  const log = createLogger({
    level: config.telemetry.logLevel,
    stream: io.stderr,
    isTerminal: io.stderr.isTTY,
  });
  const stopAsked = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => resolve(signal));
  });
  const tap: Tap = { offer: () => {} };
  const collector = await start(config, log, tap);
  if (typeof collector === 'number') return collector;
  const notifier = createSdNotifier({ environment: io.env, send: sendDatagram });
  const control = await listen(config, collector, log, beganUnixMs);
  if (control !== null) tap.offer = (request) => control.offerRequest(request);
  notifier.ready(collector.scope.explanation);
  log.info('ready', {
    version: version(),
    attach: ATTACH_MODE,
    reads: collector.reads,
    scope: collector.scope.explanation,
  });
  const metrics = await startOwnTelemetry(config, collector, log, beganUnixMs, io.env);
  const end = await Promise.race([stopAsked, collector.failed.catch((error: unknown) => error)]);
  notifier.stopping();
  if (end instanceof Error) {
    log.error(end.message, { stack: end.stack });
    return EXIT_BUG;
  }
  await control?.close();
  await metrics?.shutdown(OWN_TELEMETRY_DEADLINE_MS);
  const counters = await collector.stop();
  for (const violation of lawViolations(counters))
    log.error('the law of conservation is broken', { violation });
  log.flush();
  log.info('summary', { counters });
  return EXIT_OK;
}

/** Shows requests to the clients of the control socket before they are sent. */
interface Tap {
  offer: (request: Uint8Array) => void;
}

/** Without its socket the collector goes on: spans matter more than the commands that ask it. */
async function listen(
  config: Config,
  collector: Collector,
  log: Logger,
  beganUnixMs: number,
): Promise<ControlServer | null> {
  const status = (): CollectorStatus => ({
    version: version(),
    pid: process.pid,
    uptimeSeconds: Math.round((Date.now() - beganUnixMs) / 1000),
    attachMode: ATTACH_MODE,
    scope: collector.scope.explanation,
    endpoint: config.export.endpoint,
    containers: collector.containers().length,
    counters: collector.counters(),
    queue: collector.queue(),
  });
  try {
    return await ControlServer.listen({
      path: config.control.socket,
      handlers: { status },
      counters: () => collector.counters(),
      onWarning: (message, error) => log.warn(message, { error }),
    });
  } catch (error) {
    log.warn('no control socket: tail and status cannot ask this collector', {
      path: config.control.socket,
      error: (error as Error).message,
      cure: 'set control.socket to a path that can be written and that no other collector uses',
    });
    return null;
  }
}

async function startOwnTelemetry(
  config: Config,
  collector: Collector,
  log: Logger,
  beganUnixMs: number,
  environment: NodeJS.ProcessEnv,
): Promise<Metrics | null> {
  if (!config.telemetry.metrics.otlp) return null;
  const onError = (error: unknown): void => log.warn("fdspan's own telemetry isn't taken", { error });
  try {
    const { startMetrics } = await import('../telemetry/metrics.ts');
    return await startMetrics({
      target: { ...config.export, tls: tlsOf(config) },
      environment,
      version: version(),
      hostAttributes: collector.hostAttributes,
      snapshot: () => collector.counters(),
      start: { beganUnixMs, attachedUnixMs: Date.now(), attributes: { 'fdspan.attach.mode': ATTACH_MODE } },
      onError,
    });
  } catch (error) {
    onError(error);
    return null;
  }
}

function tlsOf(config: Config): NonNullable<OtlpTarget['tls']> {
  const read = (path: string | null): Buffer | null => (path === null ? null : readFileSync(path));
  const { ca, cert, key } = config.export.tls;
  return { ca: read(ca), cert: read(cert), key: read(key) };
}

async function start(config: Config, log: Logger, tap: Tap): Promise<Collector | number> {
  try {
    return await Collector.start({
      config,
      version: version(),
      log,
      makeSink: (counters) => new Exporter(exportOptions(config), counters, log),
      tap: (request) => tap.offer(request),
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
