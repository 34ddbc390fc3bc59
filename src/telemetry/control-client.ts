// The command line's end of the control socket.
import { connect, type Socket } from 'node:net';
import {
  ControlError,
  LineSplitter,
  RESPONSE_BYTES_MAX,
  type ControlRequest,
  type ControlResponse,
  type TailMessage,
} from './control-protocol.ts';

const ANSWER_DEADLINE_MS = 5000;

function connectionError(path: string, cause: NodeJS.ErrnoException): ControlError {
  const options = { cause };
  switch (cause.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new ControlError('not_running', `no fdspan is running: nothing answers on ${path}`, options);
    case 'EACCES':
    case 'EPERM':
      return new ControlError('not_permitted', `connecting to ${path}: ${cause.code}; run as root`, options);
    default:
      return new ControlError('failed', `connecting to ${path}: ${cause.code ?? cause.message}`, options);
  }
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', (error) => reject(connectionError(path, error)));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

/** Yields the answer's lines until the server closes. Destroys the socket when left. */
async function* linesOf(socket: Socket, path: string): AsyncGenerator<string> {
  const splitter = new LineSplitter(RESPONSE_BYTES_MAX);
  try {
    for await (const chunk of socket) {
      const lines = splitter.push(chunk as Buffer);
      if (lines === null) {
        throw new ControlError('failed', `${path} answered with more than ${RESPONSE_BYTES_MAX} bytes`);
      }
      yield* lines;
    }
  } catch (cause) {
    if (cause instanceof ControlError) throw cause;
    throw connectionError(path, cause as NodeJS.ErrnoException);
  } finally {
    socket.destroy();
  }
}

function parse(line: string, path: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new ControlError('failed', `${path} answered with what is not JSON: is it fdspan's socket?`, {
      cause,
    });
  }
}

/** Asks the running collector; returns its result. Throws a ControlError. */
export async function askControl(
  path: string,
  request: ControlRequest,
  deadlineMs: number = ANSWER_DEADLINE_MS,
): Promise<unknown> {
  const socket = await open(path);
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    socket.destroy();
  }, deadlineMs);
  try {
    socket.write(`${JSON.stringify(request)}\n`);
    for await (const line of linesOf(socket, path)) {
      const response = parse(line, path) as ControlResponse;
      if (response.ok) return response.result;
      throw new ControlError('refused', `${request.command} on ${path}: ${response.error}`);
    }
  } catch (error) {
    if (!isLate) throw error;
  } finally {
    clearTimeout(deadline);
  }
  if (isLate)
    throw new ControlError('timeout', `${path} gave no answer to ${request.command} in ${deadlineMs} ms`);
  throw new ControlError('failed', `${path} closed without an answer to ${request.command}`);
}

/**
 * Asks for an answer of many lines: `take` gets each, and the last one's result is returned. Throws a ControlError, also
 * where the lines end without a last one. The deadline is for each line.
 */
export async function askLines(
  path: string,
  request: ControlRequest,
  take: (line: unknown) => void,
  deadlineMs: number = ANSWER_DEADLINE_MS,
): Promise<unknown> {
  const { command } = request;
  const socket = await open(path);
  let isLate = false;
  socket.setTimeout(deadlineMs, () => {
    isLate = true;
    socket.destroy();
  });
  try {
    socket.write(`${JSON.stringify(request)}\n`);
    for await (const line of linesOf(socket, path)) {
      const message = parse(line, path) as object | null;
      if (message === null || !('ok' in message)) {
        take(message);
        continue;
      }
      const response = message as ControlResponse;
      if (response.ok) return response.result;
      throw new ControlError('refused', `${command} on ${path}: ${response.error}`);
    }
  } catch (error) {
    if (!isLate) throw error;
  }
  if (isLate) throw new ControlError('timeout', `${path} said nothing to ${command} for ${deadlineMs} ms`);
  throw new ControlError('failed', `${path} closed before the end of its answer to ${command}`);
}

/**
 * Connects to the running collector and returns its rows and stats; the stream ends when the collector
 * stops or `signal` aborts. Throws a ControlError, before the first message when none is running.
 */
export async function openTail(path: string, signal: AbortSignal): Promise<AsyncGenerator<TailMessage>> {
  const socket = await open(path);
  signal.addEventListener('abort', () => socket.end().destroy(), { once: true });
  if (signal.aborted) socket.destroy();
  else socket.write('{"command":"tail"}\n');
  return messagesOf(socket, path, signal);
}

async function* messagesOf(socket: Socket, path: string, signal: AbortSignal): AsyncGenerator<TailMessage> {
  try {
    for await (const line of linesOf(socket, path)) {
      const message = parse(line, path) as TailMessage | ControlResponse;
      if ('ok' in message) {
        throw new ControlError('refused', `tail on ${path}: ${message.ok ? 'no stream' : message.error}`);
      }
      yield message;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
