// Sources → values with their origin. Every mistake of every source is found before any is told.
// Precedence: --set, FDSPAN_*, OTEL_EXPORTER_OTLP_TRACES_*, OTEL_EXPORTER_OTLP_*, file, default.
import { existsSync, readFileSync } from 'node:fs';
import convict from 'convict';
import { isMap, isScalar, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import { duration } from './formats.ts';
import type { Config } from './config.ts';
import { KEYS } from './schema.ts';
import { settingsOfOpenTelemetry, type Setting } from './opentelemetry-variables.ts';

export const DEFAULT_FILE = '/etc/fdspan/fdspan.yaml';

/** All that is wrong with the configuration: exit code 78. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration has ${problems.length} problem(s):\n  ${problems.join('\n  ')}`);
    this.problems = problems;
  }
}

export interface LoadedConfig {
  readonly config: Config;
  /** As written, by dotted key. */
  readonly values: ReadonlyMap<string, unknown>;
  /** Where each value comes from: `default`, `FILE:LINE`, `VARIABLE` or `--set`. */
  readonly origins: ReadonlyMap<string, string>;
}

export interface ConfigSources {
  readonly file?: string | undefined;
  readonly sets: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Loads and judges the configuration. Throws {@link ConfigError} with every problem. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const problems: string[] = [];
  const settings = [
    ...settingsOfFile(sources.file, problems),
    ...settingsOfOpenTelemetry(sources.env),
    ...settingsOfEnvironment(sources.env, problems),
    ...settingsOfSets(sources.sets, problems),
  ];
  const values = new Map(Object.entries(KEYS).map(([key, { default: value }]) => [key, value]));
  const origins = new Map(Object.keys(KEYS).map((key) => [key, 'default']));
  for (const { key, value, origin } of settings) {
    if (!Object.hasOwn(KEYS, key)) {
      problems.push(`${origin}: unknown key ${key}${suggestion(key)}`);
      continue;
    }
    values.set(key, value);
    origins.set(key, origin);
  }
  const used: Record<string, unknown> = {};
  for (const [key, value] of values) {
    try {
      put(used, key, judged(key, value));
    } catch (error) {
      problems.push(`${origins.get(key)}: ${key}: ${shown(key, value)} must be ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { config: used as unknown as Config, values, origins };
}

/** Secrets never reach a message. */
function shown(key: string, value: unknown): string {
  return KEYS[key].isSecret ? 'the value' : JSON.stringify(value);
}

/** One key through convict: its own validate() stops early on more, and can't tell where a value came from. */
function judged(key: string, value: unknown): unknown {
  const { doc, format } = KEYS[key];
  let result: unknown;
  let reason: Error | undefined;
  const check = (candidate: unknown): void => {
    try {
      result = format(candidate);
    } catch (error) {
      reason = error as Error;
      throw error;
    }
  };
  // No default here: convict would split and parse texts after the default's type.
  const one = convict({ value: { doc, default: null, format: check as never, nullable: true } });
  try {
    one.load({ value } as never).validate();
  } catch (error) {
    throw reason ?? error;
  }
  if (result === undefined) result = format(value);
  return result;
}

/** `export.queue.bytes_max` → config.export.queue.bytesMax; durations say their unit. */
function put(config: Record<string, unknown>, key: string, value: unknown): void {
  const parts = key
    .split('.')
    .map((part) => part.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase()));
  const last = parts.pop()! + (KEYS[key].format === duration ? 'Ms' : '');
  let at = config;
  for (const part of parts) at = (at[part] ??= {}) as Record<string, unknown>;
  at[last] = value;
}

function settingsOfFile(file: string | undefined, problems: string[]): Setting[] {
  const path = file ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined);
  if (path === undefined) return [];
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`${path}: ${(error as Error).message}; give --config an existing, readable file`);
    return [];
  }
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  for (const error of document.errors)
    problems.push(`${path}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  if (document.errors.length > 0 || document.contents === null) return [];
  if (!isMap(document.contents)) {
    problems.push(`${path}:1: the file must hold keys and values, such as "attach: auto"`);
    return [];
  }
  const settings: Setting[] = [];
  collect(document.contents, '', (key, value, offset) => {
    settings.push({ key, value, origin: `${path}:${lines.linePos(offset).line}` });
  });
  return settings;
}

function collect(
  map: YAMLMap,
  prefix: string,
  take: (key: string, value: unknown, offset: number) => void,
): void {
  for (const { key, value } of map.items) {
    const name = `${prefix}${String(isScalar(key) ? key.value : key)}`;
    const offset = (isScalar(key) ? key.range?.[0] : undefined) ?? 0;
    const isBranch = Object.keys(KEYS).some((known) => known.startsWith(`${name}.`));
    if (isMap(value) && isBranch) collect(value, `${name}.`, take);
    else take(name, value === null ? null : (value as { toJSON(): unknown }).toJSON(), offset);
  }
}

/** The variable of a key: `export.queue.bytes_max` → FDSPAN_EXPORT_QUEUE_BYTES_MAX. */
export function variableOf(key: string): string {
  return `FDSPAN_${key.toUpperCase().replaceAll('.', '_')}`;
}

/** Read by bin/fdspan, not by the configuration. */
const OTHER_VARIABLES = ['FDSPAN_DEV'];

function settingsOfEnvironment(env: NodeJS.ProcessEnv, problems: string[]): Setting[] {
  const keys = new Map(Object.keys(KEYS).map((key) => [variableOf(key), key]));
  const settings: Setting[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('FDSPAN_') || value === undefined || value === '' || OTHER_VARIABLES.includes(name))
      continue;
    const key = keys.get(name);
    if (key === undefined) problems.push(`${name}: no key has this variable`);
    else settings.push({ key, value, origin: name });
  }
  return settings;
}

function settingsOfSets(sets: readonly string[], problems: string[]): Setting[] {
  return sets.flatMap((set) => {
    const at = set.indexOf('=');
    if (at > 0) return [{ key: set.slice(0, at), value: set.slice(at + 1), origin: '--set' }];
    problems.push(`--set: ${JSON.stringify(set)} must be KEY=VALUE`);
    return [];
  });
}

function suggestion(key: string): string {
  const last = key.split('.').at(-1)!;
  const near = Object.keys(KEYS).find(
    (known) => known.split('.').at(-1) === last || known.startsWith(`${key}.`),
  );
  return near === undefined ? '' : `; did you mean ${near}?`;
}
