// `fdspan tail`: the spans as they end, on the terminal, from the running collector; without one, from a
// collector of its own in this process. stdout carries rows only; notices go to stderr.
import type { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { openTail } from '../telemetry/control-client.ts';
import { CONTROL_SOCKET_DEFAULT, ControlError, type TailMessage } from '../telemetry/control-protocol.ts';
import { escapeControls } from '../telemetry/terminal-text.ts';
import { exitCodeOf } from './status.ts';
import { openLocal, type LocalStarter } from './tail-local.ts';
import { TailView, type TailForm } from './tail-view.ts';

const EXIT_OK = 0;
const EXIT_USAGE = 64;

const MS_PER_SECOND = 1000;

/** Reason: setTimeout's own limit is 2^31 ms. */
const SECONDS_MAX = 2_000_000;

export interface TailIo {
  readonly stdin: Readable;
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly stderr: Writable;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface TailSeams {
  /** Used when no collector answers; null: there is none, and tail fails. */
  readonly startLocal: LocalStarter | null;
}

export interface TailArguments {
  readonly socket: string;
  /** Asked for by --socket: then no collector of tail's own is started in its place. */
  readonly isSocketGiven: boolean;
  readonly isJson: boolean;
  readonly seconds: number;
  readonly count: number;
}

class UsageError extends Error {}

function positive(name: string, text: string | undefined, max: number): number {
  if (text === undefined) return 0;
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= max) return value;
  throw new UsageError(`--${name} ${JSON.stringify(text)}: give a number above 0, at most ${max}`);
}

/** Reads the arguments; throws with a sentence for the user. */
export function readTailArguments(args: readonly string[]): TailArguments {
  const { values } = parseArgs({
    args: [...args],
    allowPositionals: false,
    options: {
      socket: { type: 'string' },
      json: { type: 'boolean' },
      seconds: { type: 'string' },
      count: { type: 'string' },
    },
  });
  const count = positive('count', values.count, Number.MAX_SAFE_INTEGER);
  if (!Number.isInteger(count)) throw new UsageError(`--count ${values.count}: give a whole number`);
  return {
    socket: values.socket ?? CONTROL_SOCKET_DEFAULT,
    isSocketGiven: values.socket !== undefined,
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
function hasColors(form: TailForm, { environment = process.env }: TailIo): boolean {
  return form === 'terminal' && (environment.NO_COLOR ?? '') === '' && environment.TERM !== 'dumb';
}

/** Ends the stream at Ctrl-C, SIGTERM, --seconds, or when stdout's reader is gone. */
function endings(
  seconds: number,
  stdout: Writable,
): { signal: AbortSignal; end: () => void; dispose: () => void } {
  const controller = new AbortController();
  const end = (): void => controller.abort();
  const timer = seconds > 0 ? setTimeout(end, seconds * MS_PER_SECOND) : null;
  process.on('SIGINT', end).on('SIGTERM', end);
  stdout.on('error', end).on('close', end);
  const dispose = (): void => {
    if (timer !== null) clearTimeout(timer);
    process.off('SIGINT', end).off('SIGTERM', end);
    stdout.off('error', end).off('close', end);
  };
  return { signal: controller.signal, end, dispose };
}

async function openSource(
  options: TailArguments,
  io: TailIo,
  seams: TailSeams,
  signal: AbortSignal,
): Promise<AsyncIterable<TailMessage>> {
  try {
    return await openTail(options.socket, signal);
  } catch (error) {
    const isMissing = error instanceof ControlError && error.code === 'not_running';
    if (!isMissing || options.isSocketGiven || seams.startLocal === null) throw error;
    io.stderr.write(
      `fdspan tail: no collector answers on ${options.socket}; starting one without a backend\n`,
    );
    return openLocal(seams.startLocal, signal, (cause) => {
      io.stderr.write(`fdspan tail: stopping the collector: ${escapeControls(String(cause))}\n`);
    });
  }
}

async function show(source: AsyncIterable<TailMessage>, view: TailView, end: () => void): Promise<void> {
  for await (const message of source) {
    if (!view.isFull) await view.show(message);
    // The source is read to its end, so that a collector of our own has stopped before we return.
    if (view.isFull) end();
  }
}

/** Runs the command and returns its exit code: 0, 64, 69 when nothing runs, 77. */
export async function tail(
  args: readonly string[],
  io: TailIo,
  seams: TailSeams = { startLocal: null },
): Promise<number> {
  let options: TailArguments;
  try {
    options = readTailArguments(args);
  } catch (error) {
    io.stderr.write(`fdspan tail: ${escapeControls((error as Error).message)}\n`);
    return EXIT_USAGE;
  }
  const form = formOf(options.isJson, io);
  const view = new TailView(io.stdout, { form, hasColors: hasColors(form, io), rowsMax: options.count });
  const { signal, end, dispose } = endings(options.seconds, io.stdout);
  try {
    const source = await openSource(options, io, seams, signal);
    await show(source, view, end);
    view.end();
    const missed = view.missed();
    if (missed !== null) io.stderr.write(`fdspan tail: ${missed}\n`);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    io.stderr.write(`fdspan tail: ${escapeControls(error.message)}\n`);
    return exitCodeOf(error);
  } finally {
    dispose();
  }
}
