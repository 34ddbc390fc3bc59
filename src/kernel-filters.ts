// What users write of filters → what the kernel asks, globs compiled.
import type { FilterOptions } from './bpf/live-filters.ts';
import type { Config } from './config/config.ts';
import { filterOptions } from './config/options.ts';
import { compileGlobs } from './filter/glob-table.ts';
import type { GlobTable } from './model/glob-table.ts';
import * as layout from './model/record-layout.ts';

/** Compiles all globs of a configuration; throws an Error when they are too many. */
export function globTableOf({
  files,
  processes,
  sampling,
}: Pick<Config, 'files' | 'processes' | 'sampling'>): GlobTable {
  const rules = sampling.rules.map(({ path, process }, index) => ({
    path: { globs: path === undefined ? [] : [path], accepts: 0, rules: 2 ** index },
    process: { globs: process === undefined ? [] : [process], accepts: 0, rules: 2 ** index },
  }));
  return compileGlobs(
    [
      { globs: files.exclude, accepts: layout.ACCEPTS_PATH_EXCLUDE },
      { globs: files.include, accepts: layout.ACCEPTS_PATH_INCLUDE },
      ...rules.map(({ path }) => path),
    ],
    [
      { globs: processes.exclude, accepts: layout.ACCEPTS_NAME_EXCLUDE },
      ...rules.map((rule) => rule.process),
    ],
  );
}

/** Returns the kernel's filters of a configuration that was checked. */
export function kernelFilters(config: Config): FilterOptions {
  const { files, processes, sampling } = config;
  const isPathAsked =
    files.exclude.length > 0 ||
    files.include.length > 0 ||
    sampling.rules.some(({ path }) => path !== undefined);
  const isNameAsked =
    processes.exclude.length > 0 || sampling.rules.some(({ process }) => process !== undefined);
  const globsAsked =
    (isPathAsked ? layout.ASKED_PATH : 0) |
    (files.include.length > 0 ? layout.ASKED_INCLUDE : 0) |
    (isNameAsked ? layout.ASKED_NAME : 0);
  return { ...filterOptions(config), globsAsked, globs: globsAsked === 0 ? null : globTableOf(config) };
}
