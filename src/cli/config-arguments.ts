// The options that `run` and `check` share, and what both say of a bad configuration.
import { parseArgs } from 'node:util';
import { ConfigError, loadConfig, type LoadedConfig } from '../config/load.ts';
import type { CommandIo } from './command-io.ts';
import { EXIT_CONFIG, EXIT_USAGE } from './exit-codes.ts';

/** Returns the configuration, or the exit code after having said what is wrong. */
export function configOf(command: string, args: readonly string[], io: CommandIo): LoadedConfig | number {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options: { config: { type: 'string' }, set: { type: 'string', multiple: true } },
    });
  } catch (error) {
    io.stderr.write(`fdspan ${command}: ${(error as Error).message}; see fdspan --help\n`);
    return EXIT_USAGE;
  }
  try {
    return loadConfig({ file: parsed.values.config, sets: parsed.values.set ?? [], env: io.env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    io.stderr.write(`fdspan ${command}: ${error.message}\n`);
    return EXIT_CONFIG;
  }
}
