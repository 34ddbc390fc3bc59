// `fdspan run`: starts the collector, and stops it when it is told to.
import { Collector } from '../collector.ts';
import { GIVEN_UP, lockDown } from '../bpf/lock-down.ts';
import { endProcess, lockFile, sendDatagram } from '../bpf/libc.ts';
import type { Config } from '../config/config.ts';
import { Exporter } from '../export/exporter.ts';
import { Spool } from '../export/spool/spool.ts';
import { ControlServer } from '../telemetry/control-server.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import type { ExportObserver } from '../model/export-observer.ts';
import { maskUrlSecrets } from '../model/url-secrets.ts';
import { createSdNotifier } from '../telemetry/sd-notify.ts';
import { serviceStatus, type StatusSample } from '../telemetry/service-status.ts';
import { version, type CommandIo } from './command-io.ts';
import { configOf, loadAgain } from './config-arguments.ts';
import type { ContainerRow } from './containers.ts';
import { EXIT_CONFIG, EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE } from './exit-codes.ts';
import { startCountedContainers } from './container-metrics.ts';
import { startContainerPressure } from './container-pressure.ts';
import { readOpenFilesQuery } from '../open-files/query.ts';
import { openHealthPort, startOwnTelemetry, watchHealth } from './own-telemetry.ts';
import { createReload } from './reload.ts';
import { refusalOf } from './start-refusal.ts';
import type { CollectorStatus } from './status.ts';
import { endRun } from './stop.ts';
import { listenForStop } from './stop-signals.ts';

const ATTACH_MODE = 'tracepoint';
/** Reason: the spans of containers come first in the time that a stop has. */
const OWN_TELEMETRY_DEADLINE_MS = 2000;

/** The message of the log for each exit code of a refusal. */
const REFUSALS: Readonly<Record<number, string>> = {
  [EXIT_NOT_PERMITTED]: 'not permitted to load BPF programs',
  [EXIT_UNAVAILABLE]: "this host can't be traced",
  [EXIT_CONFIG]: "the configuration can't be used",
};

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
  // From here on the disk of the spool may hang, also where the start is refused.
  process.on('exit', endProcess);
  const stop = listenForStop();
  const reload = { now: () => {} };
  listenForHangup(io, reload);
  const port = await openHealthPort(config, log);
  const tap: Tap = { offer: () => {} };
  const started = await start(config, log, tap, io.env);
  if (typeof started === 'number') {
    await port.server?.close();
    return started;
  }
  const { collector, exporter } = started;
  giveUpRights(log);
  watchHealth(port, collector);
  reload.now = createReload(loaded, {
    load: () => loadAgain(args, io),
    apply: (next) => collector.reload(next),
    log,
  });
  const notifier = createSdNotifier({ environment: io.env, send: sendDatagram });
  const control = await listen(config, collector, log);
  if (control !== null) tap.offer = (request) => control.offerRequest(request);
  notifier.ready(collector.scope.explanation);
  notifier.startWatchdog(() => collector.pumped.pump_turned_ms);
  notifier.startStatus(statusLines(collector));
  log.info('ready', {
    version: version(),
    attach: ATTACH_MODE,
    reads: collector.reads,
    scope: collector.scope.explanation,
  });
  const pressure = await startContainerPressure(config, collector, log, io.env);
  const containers = await startCountedContainers(config, collector, log, io.env);
  const others = (): Record<string, number> => ({ ...pressure?.counts, ...containers?.counts });
  const observe = (observer: ExportObserver): void => void (exporter.observer = observer);
  const own = { config, log, environment: io.env, collector, port, beganUnixMs, others, observe };
  const metrics = await startOwnTelemetry({ ...own, attachMode: ATTACH_MODE });
  const end = await Promise.race([stop.first, collector.failed.catch((error: unknown) => error)]);
  notifier.stopping();
  port.health.stopping();
  const exitCode = await endRun({
    config,
    collector,
    log,
    failure: end instanceof Error ? end : null,
    second: stop.second,
    before: () => Promise.all([control?.close(), pressure?.shutdown(OWN_TELEMETRY_DEADLINE_MS)]),
    after: async () => {
      // Scrapes are answered until here; the last values, with what the stop itself dropped, go by OTLP.
      await port.server?.close();
      await Promise.all([
        metrics?.shutdown(OWN_TELEMETRY_DEADLINE_MS),
        containers?.shutdown(OWN_TELEMETRY_DEADLINE_MS, collector.lastCounted),
      ]);
    },
  });
  void port.server?.close();
  return exitCode;
}

function giveUpRights(log: Logger): void {
  const whyNot = lockDown();
  if (whyNot === null) log.debug('given up for good', { what: GIVEN_UP });
  else log.warn('the rights of the start are kept: they could not be given up', { error: whyNot });
}

/**
 * On a terminal SIGHUP means that the terminal is gone; a daemon is told by it to read its configuration again. From
 * the start on: before there is a collector it must not end the process.
 */
function listenForHangup(io: CommandIo, reload: { now: () => void }): void {
  if (!io.stderr.isTTY) process.on('SIGHUP', () => reload.now());
}

/** Each line tells the rate since the line before it. */
function statusLines(collector: Collector): () => string {
  const look = (): StatusSample => ({
    atMs: performance.now(),
    counters: collector.counters(),
    containers: collector.containers().length,
  });
  let before = look();
  return () => {
    const now = look();
    const line = serviceStatus(before, now);
    before = now;
    return line;
  };
}

/** Shows requests to the clients of the control socket before they are sent. */
interface Tap {
  offer: (request: Uint8Array) => void;
}

/** Without its socket the collector goes on: spans matter more than the commands that ask it. */
async function listen(config: Config, collector: Collector, log: Logger): Promise<ControlServer | null> {
  const status = (): CollectorStatus => ({
    version: version(),
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    attachMode: ATTACH_MODE,
    scope: collector.scope.explanation,
    endpoint: maskUrlSecrets(config.export.endpoint),
    containers: collector.containers().length,
    counters: collector.counters(),
    queue: queueOf(config, collector),
    spool: spoolOf(collector),
  });
  try {
    return await ControlServer.listen({
      path: config.control.socket,
      handlers: {
        status,
        containers: () => collector.containers().map(rowOf),
        open: (request) => collector.openFiles(readOpenFilesQuery(request)),
      },
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

function queueOf(config: Config, { waiting }: Collector): CollectorStatus['queue'] {
  const { unsettledSpans: spans, queuedBytes: bytes } = waiting;
  return { spans, bytes, bytesMax: config.export.queue.bytesMax };
}

function spoolOf({ waiting: { spool } }: Collector): NonNullable<CollectorStatus['spool']> | null {
  return spool === null ? null : { spans: spool.waiting.spans, bytes: spool.bytes, bytesMax: spool.bytesMax };
}

/** Ids of 64 bits are no numbers of JSON, and nobody asks for them. */
function rowOf({ scopes: _scopes, ...row }: ReturnType<Collector['containers']>[number]): ContainerRow {
  return row;
}

interface Started {
  readonly collector: Collector;
  readonly exporter: Exporter;
}

async function start(
  config: Config,
  log: Logger,
  tap: Tap,
  environment: NodeJS.ProcessEnv,
): Promise<Started | number> {
  let exporter: Exporter | null = null;
  try {
    const spool = await openSpool(config);
    const collector = await Collector.start({
      config,
      version: version(),
      log,
      makeSink: (counters) =>
        (exporter = new Exporter(exportOptions(config, environment), counters, log, spool)),
      tap: (request) => tap.offer(request),
    });
    if (exporter === null) throw new Error('the collector made no sink');
    return { collector, exporter };
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    log.error(REFUSALS[refusal.exitCode], { error: refusal.reason, cure: refusal.cure });
    return refusal.exitCode;
  }
}

/** Before anything is loaded: a spool that another collector has is a reason not to start. */
function openSpool(config: Config): Promise<Spool> | null {
  const { dir, bytesMax } = config.export.spool;
  return dir === null ? null : Spool.open({ dir, bytesMax }, lockFile);
}

function exportOptions(
  config: Config,
  environment: NodeJS.ProcessEnv,
): ConstructorParameters<typeof Exporter>[0] {
  const { queue, spool: _spool, ...rest } = config.export;
  return {
    ...rest,
    queueBytesMax: queue.bytesMax,
    requestsInFlightMax: queue.requestsInFlight,
    proxyVariables: environment,
    userAgent: `fdspan/${version()}`,
  };
}
