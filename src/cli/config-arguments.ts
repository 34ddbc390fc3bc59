// The options that `run` and `check` share, and what both say of a bad configuration.
import { parseArgs } from 'node:util';
import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { ConfigError } from '../config/problems.ts';
import { escapeLines, type CommandIo } from './command-io.ts';
import { EXIT_CONFIG, EXIT_USAGE } from './exit-codes.ts';
import { START_CHECKS } from './stage-checks.ts';

export const CONFIG_OPTIONS = {
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
} as const;

export interface ConfigValues {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

/** Returns the configuration, or the exit code after having said what is wrong. */
export function configOf(command: string, args: readonly string[], io: CommandIo): LoadedConfig | number {
  let values: ConfigValues;
  try {
    ({ values } = parseArgs({ args: [...args], options: CONFIG_OPTIONS }));
  } catch (error) {
    return sayUsage(command, error as Error, io);
  }
  try {
    return loadForStart(values, io);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return sayProblems(command, error, io);
  }
}

/** Loads once more what `configOf` took the same arguments for. Throws a ConfigError. */
export function loadAgain(args: readonly string[], io: Pick<CommandIo, 'env'>): LoadedConfig {
  return loadForStart(parseArgs({ args: [...args], options: CONFIG_OPTIONS }).values, io);
}

/** Loads what a run would use, judged by every stage. Throws a ConfigError. */
export function loadForStart(values: ConfigValues, io: Pick<CommandIo, 'env'>): LoadedConfig {
  return loadConfig({ file: values.config, sets: values.set ?? [], env: io.env }, START_CHECKS);
}

export function sayUsage(command: string, error: Error, io: Pick<CommandIo, 'stderr'>): number {
  io.stderr.write(`fdspan ${command}: ${escapeLines(error.message)}; see fdspan --help\n`);
  return EXIT_USAGE;
}

export function sayProblems(command: string, error: ConfigError, io: Pick<CommandIo, 'stderr'>): number {
  io.stderr.write(`fdspan ${command}: ${escapeLines(error.message)}\n`);
  return EXIT_CONFIG;
}
