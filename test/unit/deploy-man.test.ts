// The manual page: it renders without a warning, and what it names of commands, options, keys, exit codes and capabilities is
// what fdspan has.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as exitCodes from '../../src/cli/exit-codes.ts';
import { HELP } from '../../src/cli/command-line.ts';
import { KEYS } from '../../src/config/schema.ts';

const root = join(import.meta.dirname, '../..');
const path = join(root, 'deploy/man/fdspan.8');
const page = readFileSync(path, 'utf8');
/** Without requests of fonts, and with hyphens as they are shown. */
const plain = page
  .replace(/\\f[A-Z]/g, '')
  .replaceAll('\\-', '-')
  .replace(/^\.[BI][RIB]? /gm, '');

function whyNo(program: string): string | false {
  const { error } = spawnSync(program, ['--version']);
  return error === undefined ? false : `${program} is not installed`;
}

test('the page renders without a warning', { skip: whyNo('groff') }, () => {
  const { status, stderr } = spawnSync('groff', ['-ww', '-man', '-Tutf8', path], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

function section(name: string): string {
  const begin = plain.indexOf(`\n.SH ${name}\n`);
  assert.notEqual(begin, -1, name);
  const end = plain.indexOf('\n.SH ', begin + 1);
  return plain.slice(begin, end === -1 ? undefined : end);
}

test('it has the sections that an administrator looks for', () => {
  for (const name of ['SYNOPSIS', 'COMMANDS', 'OPTIONS', 'PRIVILEGES', 'SIGNALS', 'EXIT STATUS', 'FILES'])
    assert.ok(section(name).split('\n').length > 3, name);
});

test('page and --help name the same commands with the same options', () => {
  const ofHelp: Record<string, string[]> = {};
  for (const line of HELP.split('\n')) {
    const command = /^ {2}([a-z]+) /.exec(line)?.[1];
    if (command !== undefined) ofHelp[command] = [];
    const options = line.match(/--[a-z]+/g) ?? [];
    if (!line.startsWith('  --'))
      Object.values(ofHelp)
        .at(-1)
        ?.push(...options);
  }
  const lines = section('SYNOPSIS').split('\n');
  const ofPage = lines.flatMap((line) => {
    const command = /^fdspan ([a-z]+)/.exec(line)?.[1];
    return command === undefined ? [] : [[command, line.match(/--[a-z]+/g) ?? []] as const];
  });
  assert.deepEqual(
    Object.fromEntries(ofPage.map(([command, options]) => [command, options.toSorted()])),
    Object.fromEntries(Object.entries(ofHelp).map(([command, options]) => [command, options.toSorted()])),
  );
});

test('each key that the page names is one of the configuration', () => {
  const keys = Object.keys(KEYS);
  const sections = new Set(keys.map((key) => key.split('.')[0]));
  // A name that begins with a section's: `spans.held`, `containers.allow`; no file names.
  const named = [...plain.matchAll(/(?<![\w/.-])([a-z_]+(?:\.[a-z_]+)+)/g)]
    .map(([, key]) => key)
    .filter((key) => sections.has(key.split('.')[0]));
  assert.ok(named.length > 8, named.join(' '));
  for (const key of named)
    assert.ok(
      keys.some((it) => it === key || it.startsWith(`${key}.`)),
      key,
    );
});

test('the exit codes are those of the program', () => {
  const told = [...section('EXIT STATUS').matchAll(/^\.TP\n(\d+)$/gm)].map(([, code]) => Number(code));
  assert.deepEqual(
    told,
    Object.values(exitCodes).toSorted((a, b) => a - b),
  );
});

test('page, documents and unit name the same capabilities, each with what it is for', () => {
  const names = (text: string): string[] => [...new Set(text.match(/\bCAP_[A-Z_]+/g))].toSorted();
  const unit = readFileSync(join(root, 'deploy/systemd/fdspan.service'), 'utf8');
  const needed = names(/^AmbientCapabilities=(.*)$/m.exec(unit)![1]);
  assert.equal(needed.length, 4);
  assert.deepEqual(names(section('PRIVILEGES')), needed);
  const rows =
    readFileSync(join(root, 'docs/operating.md'), 'utf8').match(/^\| `CAP_[A-Z_]+` \|.*\|$/gm) ?? [];
  assert.deepEqual(names(rows.join('\n')), needed);
  const { 0: comment } = /# A user of its own[\s\S]*?User=/.exec(unit)!;
  assert.deepEqual(names(comment), needed);
});
