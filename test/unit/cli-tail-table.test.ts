import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countText, durationText, TailTable } from '../../src/cli/tail-table.ts';
import type { SpanRow } from '../../src/telemetry/span-rows.ts';
import { cutMiddle, displayColumns, escapeControls } from '../../src/telemetry/terminal-text.ts';

const row: SpanRow = {
  time: '2026-01-02T03:04:05.123456789Z',
  container: 'web',
  container_id: 'abc',
  runtime: 'podman',
  process: 'cat',
  pid: 77,
  path: '/etc/hosts',
  access: 'read',
  flags: 'O_RDONLY',
  duration_ns: 12_345_678,
  reason: 'close',
  error: '',
};

test('durations have three digits and a unit', () => {
  const expected: [number, string][] = [
    [0, '0ns'],
    [999, '999ns'],
    [1000, '1.00µs'],
    [12_345, '12.3µs'],
    [999_999, '1.00ms'],
    [12_345_678, '12.3ms'],
    [999_600_000, '1.00s'],
    [59_000_000_000, '59.0s'],
    [187_000_000_000, '3m07s'],
    [3_780_000_000_000, '1h03m'],
    [183_600_000_000_000, '2d03h'],
    [-5, '-5ns'],
  ];
  for (const [ns, text] of expected) assert.equal(durationText(ns), text);
});

test('counts are shortened', () => {
  assert.deepEqual([0, 950, 12_345, 4_500_000].map(countText), ['0', '950', '12.3k', '4.50M']);
});

test('cells of a row stand below their headings', () => {
  const table = new TailTable(120, false);
  const [header, line] = [table.header(), table.row(row)];
  for (const [heading, cell] of [
    ['TIME', '03:04:05.123'],
    ['CONTAINER', 'web'],
    ['PROCESS', 'cat'],
    ['ACCESS', 'read'],
    ['END', 'close'],
    ['PATH', '/etc/hosts'],
  ]) {
    assert.equal(line.indexOf(cell), header.indexOf(heading), heading);
  }
  assert.equal(line.indexOf('77') + 2, header.indexOf('PID') + 3);
  assert.equal(line.indexOf('12.3ms') + 6, header.indexOf('DURATION') + 8);
});

test('a failed open shows its error in place of the end', () => {
  assert.match(new TailTable(120, false).row({ ...row, error: 'EACCES' }), / EACCES \/etc/);
});

test('a row never takes more than the width, whatever its texts', () => {
  for (const text of [
    'x'.repeat(5000),
    '漢字'.repeat(500),
    '\x1b[31m'.repeat(300),
    '\u202e'.repeat(99),
    'é\u0301'.repeat(300),
  ]) {
    const hostile = { ...row, path: text, container: text, process: text, access: text, reason: text };
    const line = new TailTable(110, false).row(hostile);
    assert.ok(
      displayColumns(line) <= 110,
      `${displayColumns(line)} columns for ${JSON.stringify(text.slice(0, 8))}`,
    );
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  }
});

test('a long path keeps its start and more of its end', () => {
  const path = `/var/lib/${'deep/'.repeat(30)}the-file.log`;
  const cut = cutMiddle(path, 40);
  assert.equal(displayColumns(cut), 40);
  assert.match(cut, /^\/var\/lib\/.*….*\/the-file\.log$/);
});

test('off a terminal the path is whole', () => {
  const path = `/${'a'.repeat(4000)}`;
  assert.ok(new TailTable(null, false).row({ ...row, path }).endsWith(path));
});

test('colours are written only when asked for', () => {
  assert.doesNotMatch(new TailTable(120, false).row(row), /\x1b/); // eslint-disable-line no-control-regex
  assert.match(new TailTable(120, true).row(row), /\x1b\[/); // eslint-disable-line no-control-regex
});

test('escapes name the character', () => {
  assert.equal(escapeControls('a\x1b\n\u202e\u{e0041}b'), 'a\\x1b\\x0a\\u{202e}\\u{e0041}b');
  assert.equal(escapeControls('héllo 漢 👍'), 'héllo 漢 👍');
});
