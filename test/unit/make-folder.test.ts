import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../src/model/make-folder.ts';

test('a folder is made with those above it, and one that is there is left as it is', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-folder-'));
  t.after(() => rmSync(folder, { recursive: true }));
  await makeFolder(join(folder, 'a/b/c'), 0o700);
  for (const name of ['a', 'a/b', 'a/b/c']) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o700);
  await makeFolder(join(folder, 'a/b'), 0o755);
  assert.equal(statSync(join(folder, 'a/b')).mode & 0o777, 0o700);
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(makeFolder(join(folder, 'file/a/b'), 0o700), { code: 'ENOTDIR' });
});

test('where a file system takes no new name that is told at once', async () => {
  await assert.rejects(makeFolder('/proc/fdspan/there/is/none', 0o700), { code: 'ENOENT' });
});
