// `fdspan check`: the effective configuration, and where each value comes from.
import { parseArgs } from 'node:util';
import { writeValue } from '../config/write-value.ts';
import type { LoadedConfig } from '../config/load.ts';
import { ConfigError, textOf, type Problem } from '../config/problems.ts';
import { spoolFolderProblems } from '../export/spool/check-folder.ts';
import { maskUrlSecrets } from '../model/url-secrets.ts';
import { KEYS } from '../config/schema.ts';
import { escapeControls, escapeJsonControls } from '../telemetry/terminal-text.ts';
import type { CommandIo } from './command-io.ts';
import {
  CONFIG_OPTIONS,
  loadForStart,
  sayProblems,
  sayUsage,
  type ConfigValues,
} from './config-arguments.ts';
import { EXIT_CONFIG, EXIT_OK } from './exit-codes.ts';

const MASK = '***';
/** Where the sources begin, when the value before leaves room. */
const SOURCE_COLUMN = 52;
/** Reason: a list that goes beyond is easier to read with an item a line. */
const LINE_COLUMNS = 100;

/**
 * Prints every key with its value and source, secrets masked: YAML that is a configuration file itself, or
 * JSON. What doesn't keep a collector from starting is warned of. Returns 0, 64 or 78.
 */
export async function check(args: readonly string[], io: CommandIo): Promise<number> {
  let values: ConfigValues & { readonly json?: boolean | undefined };
  try {
    ({ values } = parseArgs({ args: [...args], options: { ...CONFIG_OPTIONS, json: { type: 'boolean' } } }));
  } catch (error) {
    return sayUsage('check', error as Error, io);
  }
  const write = (report: unknown): void =>
    void io.stdout.write(`${escapeJsonControls(JSON.stringify(report))}\n`);
  try {
    const loaded = loadForStart(values, io);
    const warnings = await warningsOf(loaded);
    if (values.json) write({ valid: true, problems: [], warnings, values: jsonOf(loaded) });
    else {
      io.stdout.write(yamlOf(loaded));
      for (const warning of warnings)
        io.stderr.write(`fdspan check: warning: ${escapeControls(textOf(warning))}\n`);
    }
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (!values.json) return sayProblems('check', error, io);
    write({ valid: false, problems: error.problems, warnings: [], values: {} });
    return EXIT_CONFIG;
  }
}

async function warningsOf({ config, origins }: LoadedConfig): Promise<Problem[]> {
  const { dir, bytesMax } = config.export.spool;
  if (dir === null) return [];
  const key = 'export.spool.dir';
  const messages = await spoolFolderProblems(dir, bytesMax);
  return messages.map((message) => ({ source: origins.get(key)!, key, message }));
}

function jsonOf({ values, origins }: LoadedConfig): Record<string, { value: unknown; source: string }> {
  return Object.fromEntries(
    [...values].map(([key, value]) => [key, { value: masked(key, value), source: origins.get(key)! }]),
  );
}

/** Values that are set come first to the eye: the sources stand in one column. */
function yamlOf(loaded: LoadedConfig): string {
  const set = [...loaded.origins.values()].filter((origin) => origin !== 'default').length;
  const lines = [`# ${set} of ${loaded.origins.size} keys are set; after each: where its value comes from`];
  let section = '';
  for (const [key, value] of loaded.values) {
    const own = key.split('.')[0];
    if (own !== section) lines.push('');
    section = own;
    const source = escapeControls(loaded.origins.get(key)!);
    const [first, ...rest] = writeValue(key, masked(key, value), LINE_COLUMNS).map(escapeControls);
    lines.push(`${first.padEnd(SOURCE_COLUMN)} # ${source}`, ...rest);
  }
  return `${lines.join('\n')}\n`;
}

/** Of a secret map the names are shown. */
function masked(key: string, value: unknown): unknown {
  if (typeof value === 'string') return maskUrlSecrets(value);
  if (!KEYS[key].isSecret || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.keys(value).map((name) => [name, MASK]));
}
