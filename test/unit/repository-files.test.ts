// What must hold for the repository as files: sizes, exact versions, no place that only one machine has,
// and links that lead somewhere.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const SOURCE_LINES_MAX = 300;
const LEFT_OUT = new Set(['node_modules', 'dist', 'dist.new', 'build', '.git']);

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (LEFT_OUT.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
  });
}

const files = filesBelow(root).map((path) => ({
  path: relative(root, path),
  text: readFileSync(path, 'utf8'),
}));

function packageFile(path: string): Record<string, Record<string, string> | undefined> {
  return JSON.parse(readFileSync(join(root, path), 'utf8')) as Record<string, Record<string, string>>;
}

test('every file of src that is written by hand has fewer than 300 lines', () => {
  const long = files
    .filter(({ path }) => path.startsWith('src/') && path !== 'src/model/record-layout.ts')
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines >= SOURCE_LINES_MAX);
  assert.deepEqual(long, []);
});

test('package.json pins exact versions', () => {
  for (const path of ['package.json', 'scripts/viewer/package.json']) {
    const { dependencies, devDependencies } = packageFile(path);
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      assert.match(version, /^\d+\.\d+\.\d+$/, `${path}: ${name}`);
    }
  }
});

test('the lock files name no registry', () => {
  for (const path of ['package-lock.json', 'scripts/viewer/package-lock.json']) {
    assert.doesNotMatch(readFileSync(join(root, path), 'utf8'), /"resolved"/, path);
  }
});

test('no file names a package registry or a folder of one machine', () => {
  // Put together here, so that this file doesn't name them itself.
  const names = ['registry[.]npm' + 'js', '/wo' + 'rk/(main|shared)', 'deb[.]deb' + 'ian[.]org'];
  const forbidden = new RegExp(names.join('|'));
  const naming = files.filter(({ text }) => forbidden.test(text)).map(({ path }) => path);
  assert.deepEqual(naming, []);
});

test('the links of the documents lead to files that exist', () => {
  const dead = files
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)\s]*)?\)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(join(root, dirname(path), target)))
        .map((target) => `${path}: ${target}`),
    );
  assert.deepEqual(dead, []);
});

test('what is started by hand is executable and parses', () => {
  for (const path of [
    'bin/fdspan',
    '.ci/run',
    'scripts/setup.sh',
    'scripts/build.sh',
    'scripts/demo.sh',
    'scripts/test.sh',
  ]) {
    assert.notEqual(statSync(join(root, path)).mode & 0o111, 0, `${path} is executable`);
    const shell = path === 'bin/fdspan' ? 'sh' : 'bash';
    const { status, stderr } = spawnSync(shell, ['-n', path], { cwd: root, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }
});
