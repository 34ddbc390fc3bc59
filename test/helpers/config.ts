// A configuration file for one test, and what loadConfig says of it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type LoadedConfig, type StageChecks } from '../../src/config/load.ts';
import { ConfigError, textOf } from '../../src/config/problems.ts';

export interface Sources {
  readonly sets?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly checks?: StageChecks;
}

/** Gives `use` the path of a file with this content; removes it after, also after a promise. */
export function withFile<T>(content: string | Uint8Array, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-config-'));
  const remove = (): void => rmSync(folder, { recursive: true });
  writeFileSync(join(folder, 'f.yaml'), content);
  let result: T;
  try {
    result = use(join(folder, 'f.yaml'));
  } catch (error) {
    remove();
    throw error;
  }
  if (result instanceof Promise) return result.finally(remove) as T;
  remove();
  return result;
}

/** Loads a file with this content. */
export function load(
  content: string | Uint8Array,
  { sets = [], env = {}, checks }: Sources = {},
): LoadedConfig {
  return withFile(content, (file) => loadConfig({ file, sets, env }, checks));
}

/** Returns what is wrong, a line each, with the file's path as `f.yaml`; none when it is right. */
export function problemsOf(content: string | Uint8Array, sources: Sources = {}): readonly string[] {
  try {
    load(content, sources);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map((problem) => textOf(problem).replace(/^\S*\/f\.yaml/, 'f.yaml'));
  }
}
