// The configuration file itself: its YAML, its encoding, its size, and the lines of its mistakes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { FILE_BYTES_MAX } from '../../src/config/file-settings.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError, textOf } from '../../src/config/problems.ts';
import { load, problemsOf, withFile } from '../helpers/config.ts';

test('an alias and a merge key are refused with their lines', () => {
  const text = 'files:\n  exclude: &globs ["/a"]\n  include: *globs\nexport:\n  <<: {timeout: 1s}\n';
  const [alias, merge, ...others] = problemsOf(text);
  assert.match(alias, /^f\.yaml:3: an alias can't be used here/);
  assert.match(merge, /^f\.yaml:5: a merge key can't be used here/);
  assert.deepEqual(others, []);
});

test('an anchor that nothing refers to is harmless', () => {
  assert.equal(load('export: &e {timeout: &t 3s}\n').config.export.timeoutMs, 3000);
});

test('an alias bomb is refused at once', () => {
  const levels = Array.from({ length: 60 }, (_v, i) => `k${i}: &a${i} [*a${i - 1}, *a${i - 1}]`);
  const problems = problemsOf(['k: &a-1 [x]', ...levels].join('\n'));
  assert.match(problems.join('\n'), /:2: an alias can't be used here/);
});

test('a section, a map or a whole file with nothing in it sets nothing', () => {
  const text = 'export:\nlimits: null\nfiles: {}\nresource:\n';
  const { config, origins } = load(text);
  assert.equal(config.export.timeoutMs, 10_000);
  assert.equal(origins.get('limits.ring'), 'default');
  assert.deepEqual(config.resource, {});
  for (const empty of ['', '# nothing\n', '---\n', '\n\n']) assert.deepEqual(problemsOf(empty), []);
});

test('a list and a value with nothing in them are refused: a default or none could be meant', () => {
  assert.deepEqual(problemsOf('files:\n  include:\n  # - /data/**\nexport: {timeout: }\n'), [
    'f.yaml:2: files.include: an empty value must be a list of globs, such as [a, b]; write [] for none',
    'f.yaml:4: export.timeout: an empty value must be a duration such as 250ms, 10s, 5m or 1h',
  ]);
});

test('a section that holds no keys is refused with an example', () => {
  assert.deepEqual(problemsOf('export: 5\nspans:\n  held: [1]\n'), [
    'f.yaml:1: export: must hold keys and values, such as export.protocol',
    'f.yaml:3: spans.held: must hold keys and values, such as spans.held.after',
  ]);
  assert.match(problemsOf('[attach]\n')[0], /^f\.yaml:1: must hold keys and values, such as attach$/);
});

test('every bad item of a list is told with its own line', () => {
  const text = 'files:\n  types:\n    - regular\n    - regulr\n    - fifo\n    - door\n';
  const found = problemsOf(text).map((line) => line.split(' must')[0]);
  assert.deepEqual(found, ['f.yaml:4: files.types[1]: "regulr"', 'f.yaml:6: files.types[3]: "door"']);
});

test('every bad field of every rule is told with its line', () => {
  const text = 'containers:\n  allow:\n    - id: x\n      nmae: y\n    - pod: [z]\n    - 5\n    - {}\n';
  const [first, second, third, fourth, ...others] = problemsOf(text);
  assert.match(first, /^f\.yaml:4: containers\.allow\[0\]\.nmae: "y" is under a field that no rule has/);
  assert.match(second, /^f\.yaml:5: containers\.allow\[1\]\.pod: \["z"\] must be text/);
  assert.match(third, /^f\.yaml:6: containers\.allow\[2\]: 5 must be a rule such as /);
  assert.match(fourth, /^f\.yaml:7: containers\.allow\[3\]: {} must be a rule such as /);
  assert.deepEqual(others, []);
});

test('a key that stands twice is told with both lines, also when one is written with dots', () => {
  const [first, second, ...others] = problemsOf('attach: auto\nexport: {}\nattach: tracepoint\nexport: {}\n');
  assert.match(first, /^f\.yaml:3: a key of line 1 stands here again/);
  assert.match(second, /^f\.yaml:4: a key of line 2 stands here again/);
  assert.deepEqual(others, []);
  assert.deepEqual(problemsOf('export:\n  timeout: 1s\nexport.timeout: 2s\n'), [
    'f.yaml:3: export.timeout: line 2 has it already: keep one',
  ]);
});

test('a key may be written with dots', () => {
  assert.equal(load('export.tls.ca: /ca\nexport: {tls.key: /key}\n').config.export.tls.ca, '/ca');
});

test('a tab, a second document, a tag and a key that is no name are told with their lines', () => {
  for (const [text, expected] of [
    ['export:\n\ttimeout: 1s\n', /^f\.yaml:2: .*[Tt]ab/],
    ['attach: auto\n---\nattach: auto\n', /^f\.yaml:2: a second document/],
    ['attach: auto\nresource: {a: !secret b}\n', /^f\.yaml:2: a tag can't be used/],
    ['attach: auto\n? [a]\n: 1\n', /^f\.yaml:2: a key must be a name/],
    ['attach: auto\n: 1\n', /^f\.yaml:2: a key must be a name/],
    ['attach: "auto\n', /^f\.yaml:[12]: Missing closing "quote/],
  ] as const) {
    assert.match(problemsOf(text)[0] ?? 'no problem', expected, text);
  }
});

test('nesting that no key needs is refused, at any depth', () => {
  for (const depth of [20, 1000, 50_000]) {
    const nested = `resource: ${'['.repeat(depth)}${']'.repeat(depth)}`;
    assert.match(problemsOf(nested)[0], /^f\.yaml:1: nested /, String(depth));
  }
});

test('keys named like parts of an object are keys like others', () => {
  const text = 'resource: {__proto__: a, constructor: b}\nexport: {headers: {__proto__: c}}\n';
  const { config } = load(text);
  assert.deepEqual(Object.entries(config.resource), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
  assert.deepEqual(Object.entries(config.export.headers), [['__proto__', 'c']]);
  for (const key of ['__proto__', 'constructor', 'toString', 'export.__proto__', 'export.constructor']) {
    assert.match(problemsOf(`${key}: {polluted: 1}\n`)[0], /^f\.yaml:1: unknown key /, key);
    assert.match(problemsOf('', { sets: [`${key}=1`] })[0], /^--set: unknown key /, key);
  }
  assert.match(problemsOf('files: {types: [__proto__]}\nspans: {failed_opens: [toString]}')[1], /errno/);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

test('a file that is not UTF-8 is told with the line', () => {
  const latin1 = Buffer.from('attach: auto\nresource: {city: "Z\xfcrich"}\n', 'latin1');
  assert.deepEqual(problemsOf(latin1), ["f.yaml:2: isn't UTF-8: save the file in that encoding"]);
  assert.match(problemsOf(Buffer.from('\ufeffattach: auto\n', 'utf16le'))[0], /^f\.yaml:1: isn't UTF-8/);
  assert.equal(load('\ufeffattach: tracepoint\n').values.get('attach'), 'tracepoint', 'UTF-8 with its mark');
});

test('a file is read up to a limit, and not beyond', () => {
  const full = `attach: tracepoint\n#${'x'.repeat(FILE_BYTES_MAX - 20)}`;
  assert.equal(Buffer.byteLength(full), FILE_BYTES_MAX);
  assert.equal(load(full).values.get('attach'), 'tracepoint');
  assert.match(problemsOf(`${full}x`)[0], /^f\.yaml: has more than 131072 bytes/);
  const endless = (): unknown => loadConfig({ file: '/dev/zero', sets: [], env: {} });
  assert.throws(endless, /\/dev\/zero: has more than/);
});

test('a folder and a file that does not exist are told with the path', () => {
  withFile('', (file) => {
    mkdirSync(`${file}.d`);
    for (const path of [`${file}.d`, `${file}.missing`]) {
      assert.throws(
        () => loadConfig({ file: path, sets: [], env: {} }),
        (error) => error instanceof ConfigError && textOf(error.problems[0]).startsWith(`${path}: E`),
      );
    }
  });
});

test('the file may be a pipe', () => {
  const program = `import { loadConfig } from './src/config/load.ts';
    process.stdout.write(String(loadConfig({ file: '/dev/stdin', sets: [], env: {} }).config.limits.containers));`;
  const words = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program];
  const shell = 'printf "limits: {containers: 77}\\n" | "$@"';
  const cwd = new URL('../..', import.meta.url).pathname;
  const output = execFileSync('sh', ['-c', shell, 'sh', process.execPath, ...words], {
    cwd,
    encoding: 'utf8',
  });
  assert.equal(output, '77');
});

test('a secret near a mistake of YAML is not in the message', () => {
  for (const secret of [
    '!hunter2',
    '*hunter2',
    '"x" hunter2',
    '|hunter2',
    '&hunter2 *b',
    '@hunter2',
    '%hunter2',
  ]) {
    const problems = problemsOf(`export:\n  headers:\n    authorization: ${secret}\n`);
    assert.ok(problems.length > 0, secret);
    assert.doesNotMatch(problems.join('\n'), /hunter2/, secret);
  }
});
