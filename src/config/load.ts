// Sources → values with their origin. Every mistake of every source is found before any is told, also in
// values that a stronger source overrides.
// Precedence: --set, FDSPAN_*, OTEL_EXPORTER_OTLP_TRACES_*, OTEL_EXPORTER_OTLP_*, file, default.
import convict from 'convict';
import type { Config } from './config.ts';
import { settingsOfEnvironment, settingsOfSets } from './environment-settings.ts';
import { settingsOfFile } from './file-settings.ts';
import {
  endpointOf,
  isExactEndpoint,
  readInsecure,
  settingsOfOpenTelemetry,
} from './opentelemetry-variables.ts';
import { ConfigError, problemOf, type Problem } from './problems.ts';
import { KEYS } from './schema.ts';
import type { Setting } from './setting.ts';
import { problemsOf } from './value-error.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** As written, by dotted key. */
  readonly values: ReadonlyMap<string, unknown>;
  /** Where each value comes from: `default`, `FILE:LINE`, a variable or `--set`. */
  readonly origins: ReadonlyMap<string, string>;
}

export interface ConfigSources {
  readonly file?: string | undefined;
  readonly sets: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** What only the stages can tell of a value. The composition roots give it: configuration runs no stage. */
export interface StageChecks {
  /** Judges one used value of a key, whichever source it is from. Throws as a Format does. */
  readonly values: Readonly<Record<string, (used: never) => void>>;
  /** Judge the configuration that results. */
  readonly wholes: readonly WholeCheck[];
  /** Judges variables that no key has, where the values of `keys` are right. Must read no other keys. */
  readonly variables?: {
    readonly keys: readonly string[];
    readonly problems: (env: NodeJS.ProcessEnv, config: Config) => readonly Problem[];
  };
}

export interface WholeCheck {
  /** It is asked when the values of these are right. */
  readonly keys: readonly string[];
  /** Returns what is wrong, by key. Must read no other keys. */
  readonly problems: (config: Config) => readonly { readonly key: string; readonly message: string }[];
}

const NO_CHECKS: StageChecks = { values: {}, wholes: [] };

interface Chosen {
  readonly value: unknown;
  readonly origin: string;
  /** Undefined: wrong. */
  readonly used: unknown;
}

/** Loads and judges the configuration. Throws {@link ConfigError} with every problem. */
export function loadConfig(sources: ConfigSources, checks: StageChecks = NO_CHECKS): LoadedConfig {
  const problems: Problem[] = [];
  const settings = [
    ...settingsOfFile(sources.file, problems),
    ...settingsOfOpenTelemetry(sources.env, problems),
    ...settingsOfEnvironment(sources.env, problems),
    ...settingsOfSets(sources.sets, problems),
  ];
  const isInsecure = readInsecure(sources.env, problems);
  const isSet = new Set(settings.map(({ key }) => key));
  const defaults = Object.entries(KEYS).map(([key, { default: value }]) => ({
    key,
    value,
    origin: 'default',
  }));
  const chosen = new Map<string, Chosen>(
    defaults.map(({ key, ...setting }) => [key, { ...setting, used: null }]),
  );
  for (const setting of [...defaults.filter(({ key }) => !isSet.has(key)), ...settings]) {
    const used = usedOf(setting, checks, problems);
    // YAML text of a list or map is told as what it holds: a secret in it can be masked then.
    const isYaml = typeof setting.value === 'string' && typeof used === 'object' && used !== null;
    chosen.set(setting.key, { value: isYaml ? used : setting.value, origin: setting.origin, used });
  }
  settleEndpoint(chosen, isInsecure);
  const config = configOf(chosen);
  for (const whole of checks.wholes) {
    const parts = whole.keys.map((key) => chosen.get(key)!);
    // Defaults fit each other, which a test holds; to judge their globs again would cost the start 40 ms.
    if (parts.every(({ origin }) => origin === 'default')) continue;
    if (parts.some(({ used }) => used === undefined)) continue;
    for (const { key, message } of whole.problems(config))
      problems.push({ source: chosen.get(key)!.origin, key, message });
  }
  const { variables } = checks;
  if (variables?.keys.every((key) => chosen.get(key)!.used !== undefined))
    problems.push(...variables.problems(sources.env, config));
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    config,
    values: new Map([...chosen].map(([key, { value }]) => [key, value])),
    origins: new Map([...chosen].map(([key, { origin }]) => [key, origin])),
  };
}

/** Returns the value as the code uses it, or undefined when it is wrong, which is told. */
function usedOf(setting: Setting, checks: StageChecks, problems: Problem[]): unknown {
  const { key, value, origin } = setting;
  try {
    const used = judged(key, value);
    if (Object.hasOwn(checks.values, key)) checks.values[key](used as never);
    return used;
  } catch (error) {
    for (const problem of problemsOf(error, value)) {
      problems.push(problemOf(key, setting.originOf?.(problem.path) ?? origin, problem));
    }
    return undefined;
  }
}

/** One key through convict: its own validate() stops early on more, and can't tell where a value came from. */
function judged(key: string, value: unknown): unknown {
  const { doc, format } = KEYS[key];
  let result: unknown;
  let reason: unknown;
  // In a list, because convict walks into maps, and leaves out keys such as __proto__ there.
  const check = ([candidate]: unknown[]): void => {
    try {
      result = format(candidate);
    } catch (error) {
      reason = error;
      throw error;
    }
  };
  const one = convict({ value: { doc, default: [] as unknown[], format: check as never } });
  try {
    one.load({ value: [value] } as never).validate();
  } catch (error) {
    throw reason ?? error;
  }
  return result;
}

/** The endpoint depends on the protocol, which another source may say. */
function settleEndpoint(chosen: Map<string, Chosen>, isInsecure: boolean): void {
  const endpoint = chosen.get('export.endpoint')!;
  const protocol = chosen.get('export.protocol')!.used;
  if (typeof endpoint.used !== 'string' || typeof protocol !== 'string') return;
  const meant = endpointOf(endpoint.used, endpoint.origin, protocol, isInsecure);
  chosen.set('export.endpoint', { value: meant, origin: endpoint.origin, used: meant });
}

function configOf(chosen: ReadonlyMap<string, Chosen>): Config {
  const config: Record<string, unknown> = {};
  for (const [key, { used }] of chosen) put(config, key, used);
  const exported = config.export as Record<string, unknown>;
  exported.isEndpointExact = isExactEndpoint(chosen.get('export.endpoint')!.origin);
  return config as unknown as Config;
}

/** `export.queue.bytes_max` → config.export.queue.bytesMax; durations say their unit. */
function put(config: Record<string, unknown>, key: string, value: unknown): void {
  const parts = key
    .split('.')
    .map((part) => part.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase()));
  const last = parts.pop()! + (KEYS[key].format.unit ?? '');
  let at = config;
  for (const part of parts) at = (at[part] ??= {}) as Record<string, unknown>;
  at[last] = value;
}
