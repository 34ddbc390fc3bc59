import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const unit = join(import.meta.dirname, '../../deploy/systemd/fdspan.service');
/** `--offline` is of 250. */
const FIRST_OFFLINE = 250;

function whyNot(): string | false {
  const { stdout, error } = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return 'systemd-analyze is not installed';
  const release = Number(/^systemd (\d+)/.exec(stdout)?.[1]);
  return release >= FIRST_OFFLINE ? false : `systemd-analyze ${release} judges no files`;
}

test('the unit is exposed by 2.0 at most, as systemd judges it', { skip: whyNot() }, () => {
  // In tenths.
  const args = ['security', '--offline=true', '--threshold=20', '--no-pager', unit];
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /Overall exposure level for fdspan.service: (1\.\d|2\.0) /);
});
