// The table of `fdspan open`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassThrough } from 'node:stream';
import { open, openFilesText } from '../../src/cli/open.ts';

const ROW = {
  container: 'web',
  container_id: '0'.repeat(64),
  pid: 4711,
  process: 'nginx',
  user_id: 101,
  fds: [3, 12],
  has_more_fds: false,
  path: '/var/log/access.log',
  access: 'write',
  opened: '2026-11-26T19:58:01.250Z',
  open_ns: 187_000_000_000,
  size: 3_500_000,
  inode: '12',
  device: '8:1',
  is_deleted: false,
  is_adopted: false,
};

test('a row tells who has the file, under which numbers, since when and how large it is', () => {
  const [title, line] = openFilesText([ROW]).split('\n');
  assert.match(title, /^CONTAINER +PID PROCESS +FD +ACCESS +SINCE +FOR +SIZE PATH$/);
  assert.match(
    line,
    /^web +4711 nginx +3,12 +write +2026-11-26T19:58:01Z +3m07s +3\.3M \/var\/log\/access\.log$/,
  );
  assert.equal(openFilesText([]), 'no open file\n');
});

test('deleted and adopted files are said to be so, and more numbers than are known of', () => {
  const text = openFilesText([{ ...ROW, is_deleted: true, is_adopted: true, has_more_fds: true }]);
  assert.match(
    text,
    / 3,12\+ .* >3m07s .*access\.log \(deleted\)\n> open before fdspan started: at least so long\n$/,
  );
});

test('a container without a name is told by its id, the host as such, an unknown one as nothing', () => {
  const first = (row: Partial<typeof ROW> | { container: null; container_id: null | string }): string =>
    openFilesText([{ ...ROW, ...row }])
      .split('\n')[1]
      .split(' ')[0];
  assert.equal(first({ container: null, container_id: 'abcdef'.repeat(10) }), 'abcdefabcdef');
  assert.equal(first({ container: '' }), '000000000000');
  assert.equal(first({ container: null, container_id: null }), '-');
});

test('what a container named can’t move the cursor', () => {
  const hostile = 'a\x1b[2J\n\u202eb';
  const text = openFilesText([{ ...ROW, container: hostile, process: hostile, path: `/${hostile}` }]);
  assert.equal(text.split('\n').length, 3);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\u202e]/);
});

for (const [what, args, exitCode, reason] of [
  ['no collector', ['--socket', '/nowhere/control.sock'], 69, /no fdspan is running/],
  ['an option that is none', ['--nope'], 64, /--nope/],
  ['a glob that is wrong', ['--path', '{'], 64, /"\{"/],
  ['a key that is none', ['--set', 'control.sockt=x'], 78, /control\.sockt/],
] as const) {
  test(`${what} ends with ${exitCode} and says so`, async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    assert.equal(await open(args, { stdout, stderr, env: {} }), exitCode);
    assert.match(String(stderr.read()), reason);
    assert.equal(stdout.read(), null);
  });
}
