// `fdspan tail`: the spans as they end, on the terminal, from the running collector; without one, from a
// collector of its own in this process. stdout carries rows only; notices go to stderr.
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { openTail } from '../telemetry/control-client.ts';
import { ControlError, type TailMessage } from '../telemetry/control-protocol.ts';
import { escapeLines } from './command-io.ts';
import {
  exitCodeOfArguments,
  exitCodeOfControl,
  SOCKET_OPTIONS,
  socketPathOf,
  type SocketValues,
} from './control-socket.ts';
import { EXIT_OK, EXIT_USAGE } from './exit-codes.ts';
import { openLocal, type LocalStarter } from './tail-local.ts';
import { TailView, type TailForm } from './tail-view.ts';

const MS_PER_SECOND = 1000;

/** Reason: setTimeout's own limit is 2^31 ms. */
const SECONDS_MAX = 2_000_000;

export interface TailIo {
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
}

export interface TailArguments {
  readonly socketPath: string;
  /** For the collector of our own; with --socket there is none, as that names a running one. */
  readonly source: SocketValues;
  readonly isJson: boolean;
  /** 0: until Ctrl-C. */
  readonly seconds: number;
  /** Rows; 0: no limit. */
  readonly count: number;
}

/** Prepares the collector that is started when none runs. */
export type StarterOf = (source: SocketValues, io: TailIo) => Promise<LocalStarter>;

const collectorStarter: StarterOf = async (source, io) => {
  const { localStarter } = await import('./tail-collector.ts');
  const { STAGE_CHECKS } = await import('./stage-checks.ts');
  const sources = { file: source.config, sets: source.set ?? [], env: io.env };
  return localStarter(loadConfig(sources, STAGE_CHECKS).config, io);
};

class UsageError extends Error {}

function positive(name: string, text: string | undefined, max: number): number {
  if (text === undefined) return 0;
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= max) return value;
  throw new UsageError(`--${name} ${JSON.stringify(text)}: give a number above 0, at most ${max}`);
}

/** Reads the arguments; throws with a sentence for the user. */
export function readTailArguments(args: readonly string[], env: NodeJS.ProcessEnv): TailArguments {
  const { values } = parseArgs({
    args: [...args],
    allowPositionals: false,
    options: { ...SOCKET_OPTIONS, seconds: { type: 'string' }, count: { type: 'string' } },
  });
  const count = positive('count', values.count, Number.MAX_SAFE_INTEGER);
  if (!Number.isInteger(count)) throw new UsageError(`--count ${values.count}: give a whole number`);
  return {
    socketPath: socketPathOf(values, env),
    source: values,
    isJson: values.json ?? false,
    seconds: positive('seconds', values.seconds, SECONDS_MAX),
    count,
  };
}

function formOf(isJson: boolean, io: TailIo): TailForm {
  if (isJson) return 'json';
  return io.stdout.isTTY === true ? 'terminal' : 'plain';
}

/** no-color.org: any value but the empty one. */
function hasColors(form: TailForm, { env }: TailIo): boolean {
  return form === 'terminal' && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
}

interface Endings {
  readonly signal: AbortSignal;
  readonly end: () => void;
  readonly dispose: () => void;
}

/** Ends the stream at Ctrl-C, SIGTERM, or when stdout's reader is gone. */
function endings(stdout: Writable): Endings {
  const controller = new AbortController();
  const end = (): void => controller.abort();
  process.on('SIGINT', end).on('SIGTERM', end);
  stdout.on('error', end).on('close', end);
  const dispose = (): void => {
    process.off('SIGINT', end).off('SIGTERM', end);
    stdout.off('close', end);
    // The listener of errors stays: a late EPIPE must not end the process with a stack.
  };
  return { signal: controller.signal, end, dispose };
}

async function openSource(
  options: TailArguments,
  io: TailIo,
  starterOf: StarterOf,
  signal: AbortSignal,
): Promise<AsyncIterable<TailMessage>> {
  try {
    return await openTail(options.socketPath, signal);
  } catch (error) {
    const isMissing = error instanceof ControlError && error.code === 'not_running';
    if (!isMissing || options.source.socket !== undefined) throw error;
  }
  io.stderr.write('fdspan tail: no collector runs; starting one here, without a backend\n');
  return openLocal(await starterOf(options.source, io), signal);
}

async function show(source: AsyncIterable<TailMessage>, view: TailView, end: () => void): Promise<void> {
  for await (const message of source) {
    // The source is read to its end even then, so that a collector of our own stops in order.
    if (view.isFull) continue;
    await view.show(message);
    if (view.isFull) end();
  }
}

/** `--seconds` counts from the first moment that spans can come. */
async function follow(
  options: TailArguments,
  io: TailIo,
  starterOf: StarterOf,
  view: TailView,
): Promise<void> {
  const { signal, end, dispose } = endings(io.stdout);
  let timer: NodeJS.Timeout | undefined;
  try {
    const source = await openSource(options, io, starterOf, signal);
    if (options.seconds > 0) timer = setTimeout(end, options.seconds * MS_PER_SECOND);
    await show(source, view, end);
  } finally {
    clearTimeout(timer);
    dispose();
  }
}

async function refused(error: unknown): Promise<{ readonly message: string; readonly exitCode: number }> {
  if (error instanceof ControlError) return { message: error.message, exitCode: exitCodeOfControl(error) };
  const { refusalOf } = await import('./start-refusal.ts');
  const refusal = refusalOf(error);
  if (refusal === null) throw error;
  return { message: `${refusal.reason}; ${refusal.cure}`, exitCode: refusal.exitCode };
}

/** Runs the command and returns its exit code: 0, 64, 69 when nothing can be shown, 77 or 78. */
export async function tail(
  args: readonly string[],
  io: TailIo,
  starterOf: StarterOf = collectorStarter,
): Promise<number> {
  let options: TailArguments;
  try {
    options = readTailArguments(args, io.env);
  } catch (error) {
    io.stderr.write(`fdspan tail: ${escapeLines((error as Error).message)}\n`);
    return exitCodeOfArguments(error, EXIT_USAGE);
  }
  const form = formOf(options.isJson, io);
  const view = new TailView(io.stdout, { form, hasColors: hasColors(form, io), rowsMax: options.count });
  try {
    await follow(options, io, starterOf, view);
    view.end();
    const missed = view.missed();
    if (missed !== null) io.stderr.write(`fdspan tail: ${missed}\n`);
    return EXIT_OK;
  } catch (error) {
    const { message, exitCode } = await refused(error);
    io.stderr.write(`fdspan tail: ${escapeLines(message)}\n`);
    return exitCode;
  }
}
