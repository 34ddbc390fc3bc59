// The configuration's file: any bytes, text that is like YAML, and damaged parts of the files that fdspan comes with.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { STAGE_CHECKS } from '../../../src/cli/stage-checks.ts';
import { settingsOfFile } from '../../../src/config/file-settings.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { ConfigError, type Problem } from '../../../src/config/problems.ts';
import { KEYS } from '../../../src/config/schema.ts';
import { damaged } from '../../helpers/damage.ts';
import { yamlish } from '../../helpers/yamlish.ts';
import type { FuzzTarget } from '../fuzz.ts';

/** Reason: the stages' own checks compile all globs, which takes 20 ms. */
const CHECKED_ONE_IN = 16;
const MESSAGE_BYTES_MAX = 200_000;
const FOLDER = join(import.meta.dirname, '../../../config');
const folder = mkdtempSync(join(tmpdir(), 'fdspan-fuzz-config-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const file = join(folder, 'any.yaml');

/** The files whole, and each of their sections alone without comments: the parser reads those in a tenth of the time. */
const FILES = [
  join(FOLDER, 'default.yaml'),
  join(FOLDER, 'fdspan.yaml'),
  ...readdirSync(join(FOLDER, 'examples')).map((name) => join(FOLDER, 'examples', name)),
].map((path) => readFileSync(path));
const SECTIONS = FILES.flatMap((content) =>
  content
    .toString()
    .replaceAll(/^ *#.*\n/gm, '')
    .split(/^(?=\w)/m)
    .filter((section) => section.length < 800)
    .map((section) => Buffer.from(section)),
);

/** Reads the bytes as `fdspan run --config` does, and judges what they set. */
function judge(content: Uint8Array): string {
  writeFileSync(file, content);
  const problems: Problem[] = [];
  const settings = settingsOfFile(file, problems);
  for (const { key } of settings) assert.ok(Object.hasOwn(KEYS, key), key);
  // Without a setting, what is left to judge are the defaults.
  if (settings.length === 0) return problems.length > 0 ? 'refused by the reader' : 'empty';
  const hasChecks = crc32(content) % CHECKED_ONE_IN === 0;
  try {
    const { config, origins } = loadConfig({ file, sets: [], env: {} }, hasChecks ? STAGE_CHECKS : undefined);
    assert.equal(problems.length, 0, 'what the reader refuses is refused');
    assert.equal(origins.size, Object.keys(KEYS).length);
    assert.equal(typeof config.export.endpoint, 'string');
    return 'loaded';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(error.problems.length > 0 && error.message.length < MESSAGE_BYTES_MAX);
    return 'refused by a value';
  }
}

export const CONFIG_BYTES: FuzzTarget<Uint8Array> = {
  title: 'a configuration file of any bytes, or of pieces of YAML',
  // Reason: a million of both kinds together.
  weight: 1 / 2,
  input: fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    yamlish.map((text) => Buffer.from(text)),
  ),
  judge,
  expected: ['loaded', 'refused by the reader', 'refused by a value'],
};

export const CONFIG_DAMAGED: FuzzTarget<Uint8Array> = {
  title: 'a configuration file of damaged sections of the files that fdspan comes with',
  // Reason: a million of both kinds together.
  weight: 1 / 2,
  input: damaged(SECTIONS),
  judge,
  expected: ['loaded', 'refused by the reader', 'refused by a value'],
};

export const CONFIG_WHOLE: FuzzTarget<Uint8Array> = {
  title: 'a configuration file that is damaged, and whole in length',
  // Reason: the longest of them takes 10 ms.
  weight: 1 / 200,
  input: damaged(FILES, 8),
  judge,
  expected: ['loaded', 'refused by the reader', 'refused by a value'],
};
