// Where the running collector listens: --socket, else control.socket of the configuration; and which exit
// code an error of that socket becomes.
import { loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problems.ts';
import type { ControlError } from '../telemetry/control-protocol.ts';
import { EXIT_CONFIG, EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE } from './exit-codes.ts';

/** The options of parseArgs that the commands which ask the collector share. */
export const SOCKET_OPTIONS = {
  socket: { type: 'string' },
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
  json: { type: 'boolean' },
} as const;

export interface SocketValues {
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

/** Returns the path. Throws a ConfigError; with --socket the configuration isn't read. */
export function socketPathOf(values: SocketValues, env: NodeJS.ProcessEnv): string {
  if (values.socket !== undefined) return values.socket;
  return loadConfig({ file: values.config, sets: values.set ?? [], env }).config.control.socket;
}

/** Returns the exit code for an error of the socket. */
export function exitCodeOfControl(error: ControlError): number {
  return error.code === 'not_permitted' ? EXIT_NOT_PERMITTED : EXIT_UNAVAILABLE;
}

/** Returns the exit code for what parseArgs or the configuration found wrong. */
export function exitCodeOfArguments(error: unknown, usage: number): number {
  return error instanceof ConfigError ? EXIT_CONFIG : usage;
}
