// What is wrong with a configuration: found one by one, told all at once, never with a secret in it.
import { maskUrlSecrets } from '../model/url-secrets.ts';
import { KEYS } from './schema.ts';
import type { Path, ValueProblem } from './value-error.ts';

/** Reason: nobody reads more at once. Overflow: the message says how many more there are. */
const PROBLEMS_TOLD_MAX = 100;
/** Reason: enough to know the value again. Overflow: the rest is `…`. */
const VALUE_CHARS_MAX = 80;

export interface Problem {
  /** `FILE:LINE`, a variable or `--set`. */
  readonly source: string;
  /** The key, with the item where it is in a list or map; null where no key can be named. */
  readonly key: string | null;
  readonly message: string;
}

/** All that is wrong with the configuration: exit code 78. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly problems: readonly Problem[];

  /** Those of the file are put in the order of its lines, before the others. */
  constructor(found: readonly Problem[]) {
    const problems = found.toSorted((a, b) => lineOf(a) - lineOf(b) || 0);
    const lines = problems.slice(0, PROBLEMS_TOLD_MAX).map(textOf);
    const more = problems.length - lines.length;
    if (more > 0) lines.push(`and ${more} more`);
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    super(`the configuration has ${count}:\n  ${lines.join('\n  ')}`);
    this.problems = problems;
  }
}

/** Infinity - Infinity is NaN: these stay as they were found. */
function lineOf({ source }: Problem): number {
  return Number(/:(\d+)$/.exec(source)?.[1] ?? Infinity);
}

/** Returns one line: source, key and message. */
export function textOf({ source, key, message }: Problem): string {
  return key === null ? `${source}: ${message}` : `${source}: ${key}: ${message}`;
}

/** Returns the problem of a value, or of an item of it. */
export function problemOf(key: string, source: string, { path, value, message }: ValueProblem): Problem {
  return { source, key: nameOf(key, path), message: `${shown(key, value)} ${message}` };
}

/** `containers.allow[2].id`; what isn't a plain name is quoted. */
function nameOf(key: string, path: Path): string {
  return path.reduce<string>(
    (name, part) => (typeof part === 'number' ? `${name}[${part}]` : `${name}.${quotedName(part)}`),
    key,
  );
}

/** Returns a key as it is told: in quotes unless it is a plain name. */
export function quotedName(name: string): string {
  return /^[\w.-]{1,80}$/.test(name) ? name : cut(JSON.stringify(name));
}

/** Headers and the user of a URL may be secrets. */
function shown(key: string, value: unknown): string {
  if (KEYS[key].isSecret) return 'the value';
  if (value === null || value === undefined) return 'an empty value';
  return cut(maskUrlSecrets(JSON.stringify(value)));
}

/** Returns the text, cut to what a message has room for. */
export function cut(text: string): string {
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text;
}
