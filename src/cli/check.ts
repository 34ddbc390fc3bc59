// `fdspan check`: the effective configuration, and where each value comes from.
import { KEYS } from '../config/schema.ts';
import type { CommandIo } from './command-io.ts';
import { configOf } from './config-arguments.ts';
import { EXIT_OK } from './exit-codes.ts';

/** Prints every key with its value and source, secrets masked. */
export async function check(args: readonly string[], io: CommandIo): Promise<number> {
  const loaded = configOf('check', args, io);
  if (typeof loaded === 'number') return loaded;
  for (const [key, value] of loaded.values) {
    const isSet = loaded.origins.get(key) !== 'default';
    const shown = KEYS[key].isSecret && isSet ? '"***"' : JSON.stringify(value);
    io.stdout.write(`${`${key}: ${shown}`.padEnd(60)} # ${loaded.origins.get(key)}\n`);
  }
  return EXIT_OK;
}
