// What `status`, `containers` and the like share: one question to the running collector, one answer printed.
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { askControl } from '../telemetry/control-client.ts';
import { ControlError } from '../telemetry/control-protocol.ts';
import { escapeJsonControls } from '../telemetry/terminal-text.ts';
import { escapeLines, writeWhole } from './command-io.ts';
import { exitCodeOfArguments, exitCodeOfControl, SOCKET_OPTIONS, socketPathOf } from './control-socket.ts';
import { EXIT_OK, EXIT_USAGE } from './exit-codes.ts';

export interface AskIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Asks the collector `command` and prints the answer, by `render` or with --json as it is. Returns the exit
 * code: 0, 64, 69 when no collector runs, 77 or 78.
 */
export async function askAndPrint(
  command: string,
  args: readonly string[],
  io: AskIo,
  render: (answer: unknown) => string,
): Promise<number> {
  let path: string;
  let isJson: boolean;
  try {
    const { values } = parseArgs({ args: [...args], options: SOCKET_OPTIONS, allowPositionals: false });
    path = socketPathOf(values, io.env);
    isJson = values.json ?? false;
  } catch (error) {
    io.stderr.write(`fdspan ${command}: ${escapeLines((error as Error).message)}\n`);
    return exitCodeOfArguments(error, EXIT_USAGE);
  }
  try {
    const answer = await askControl(path, { command });
    await writeWhole(io.stdout, `${isJson ? escapeJsonControls(JSON.stringify(answer)) : render(answer)}\n`);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    io.stderr.write(`fdspan ${command}: ${escapeLines(error.message)}\n`);
    return exitCodeOfControl(error);
  }
}
