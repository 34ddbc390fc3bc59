// `fdspan check`.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { check } from '../../src/cli/check.ts';
import type { CommandIo } from '../../src/cli/command-io.ts';
import { loadConfig } from '../../src/config/load.ts';
import { KEYS } from '../../src/config/schema.ts';
import { load, withFile } from '../helpers/config.ts';

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function runCheck(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  const exitCode = await check(args, { stdout, stderr, env } as unknown as CommandIo);
  return { exitCode, stdout: stdout.text, stderr: stderr.text };
}

const TEXT = `export:
  endpoint: http://me:hunter2@c:4317
  headers: {authorization: hunter2}
files:
  include: [/data/**, '**/*.db']
containers.deny: [{id: "3f*"}]
resource: {version: 1.10, note: "two\\nlines", "": x}
`.replace(', "": x', '');

test('check prints every key with its value and where it comes from, secrets masked', async () => {
  await withFile(TEXT, async (file) => {
    const env = { FDSPAN_EXPORT_TIMEOUT: '5s' };
    const { exitCode, stdout, stderr } = await runCheck(['--config', file, '--set', 'limits.ring=1MiB'], env);
    assert.equal(exitCode, 0, stderr);
    assert.equal(stderr, '');
    for (const expected of [
      /^export\.endpoint: http:\/\/\*\*\*@c:4317 +# .*f\.yaml:2$/m,
      /^export\.headers: \{authorization: "\*\*\*"\} +# .*f\.yaml:3$/m,
      /^export\.timeout: 5s +# FDSPAN_EXPORT_TIMEOUT$/m,
      /^limits\.ring: 1MiB +# --set$/m,
      /^attach: auto +# default$/m,
      /^# 7 of \d+ keys are set/,
    ]) {
      assert.match(stdout, expected);
    }
    assert.doesNotMatch(stdout, /hunter2/);
    for (const key of Object.keys(KEYS)) assert.ok(stdout.includes(`\n${key}:`), key);
  });
});

test('headers in a variable or after --set are masked too', async () => {
  const set = await runCheck(['--set', 'export.headers={authorization: hunter2}']);
  assert.match(set.stdout, /^export\.headers: \{authorization: "\*\*\*"\} +# --set$/m);
  const env = { FDSPAN_EXPORT_HEADERS: '{authorization: hunter2}', OTEL_EXPORTER_OTLP_HEADERS: 'x=hunter2' };
  const { stdout } = await runCheck([], env);
  assert.match(stdout, /authorization: "\*\*\*"/);
  for (const text of [set.stdout, stdout]) assert.doesNotMatch(text, /hunter2/);
  const wrong = await runCheck([], { FDSPAN_EXPORT_HEADERS: '{authorization: [hunter2' });
  assert.equal(wrong.exitCode, 78);
  assert.doesNotMatch(wrong.stderr, /hunter2/);
});

test('what check prints is a configuration file of the same meaning', async () => {
  const text = TEXT.replace('me:hunter2@', '').replace(/ +headers:.*\n/, '');
  const expected = load(text).config;
  const { stdout } = await withFile(text, (file) => runCheck(['--config', file]));
  assert.deepEqual(load(stdout).config, expected);
  assert.deepEqual(load((await runCheck([])).stdout).config, loadConfig({ sets: [], env: {} }).config);
});

test('check --json gives programs the values, the sources and the problems', async () => {
  const good = await runCheck([
    '--json',
    '--set',
    'export.headers={a: hunter2}',
    '--set',
    'files.include=[a]',
  ]);
  assert.equal(good.exitCode, 0);
  const report = JSON.parse(good.stdout);
  assert.deepEqual([report.valid, report.problems], [true, []]);
  assert.deepEqual(report.values['files.include'], { value: ['a'], source: '--set' });
  assert.deepEqual(report.values['export.headers'], { value: { a: '***' }, source: '--set' });
  assert.deepEqual(Object.keys(report.values), Object.keys(KEYS));
  const bad = await withFile('\nattach: up\n', (file) => runCheck(['--json', '--config', file]));
  assert.equal(bad.exitCode, 78);
  assert.equal(bad.stderr, '');
  const { valid, problems } = JSON.parse(bad.stdout);
  assert.equal(valid, false);
  assert.match(problems[0].source, /f\.yaml:2$/);
  assert.deepEqual(
    { ...problems[0], source: '' },
    { source: '', key: 'attach', message: '"up" must be one of auto, tracepoint' },
  );
});

test('a wrong option of check is a wrong usage', async () => {
  const { exitCode, stderr } = await runCheck(['--jason']);
  assert.equal(exitCode, 64);
  assert.match(stderr, /^fdspan check: .*--jason/);
});

test('nothing that a terminal obeys comes out of check', async () => {
  const hostile = 'resource: {"a\\e[31m": "b\\e]0;x\\a\\u202e\\x9b"}\n';
  const good = await withFile(hostile, (file) => runCheck(['--config', file]));
  assert.equal(good.exitCode, 0, good.stderr);
  const bad = await withFile('"\\e[31mkey\\x9b": 1\nattach: "\\e[2J"\n', (file) =>
    runCheck(['--config', file]),
  );
  assert.equal(bad.exitCode, 78);
  for (const text of [good.stdout, bad.stderr]) {
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  }
});
