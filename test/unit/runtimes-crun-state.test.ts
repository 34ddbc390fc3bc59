// crun's state of a container whose group, by systemd's word, is another than the one that crun notes.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { crunState } from '../../src/containers/runtimes/crun-state.ts';

/** As crun 1.8 writes it on a hybrid host under systemd: the controllers' group is shared. */
const STATUS = { pid: 7, 'cgroup-path': '/container', scope: 'crun-web.scope', 'systemd-cgroup': true };

test("crun's state is a container's by its scope, where the group that it notes is a shared one", async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'fdspan-crun-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  await mkdir(join(path, 'web'));
  await writeFile(join(path, 'web/status'), JSON.stringify(STATUS));
  await writeFile(join(path, 'web/config.json'), '{"annotations": {"team": "shop"}}');
  const source = crunState({ folders: [{ path, ownerUid: process.getuid?.() ?? 0 }] });
  t.after(() => source.close());
  const labelsOf = async (cgroupPath: string): Promise<unknown> => {
    const found = await source.find({ id: 'web', cgroupPath }, new AbortController().signal);
    return found === null ? null : Object.fromEntries(found.labels ?? []);
  };
  assert.deepEqual(await labelsOf('/system.slice/crun-web.scope'), { team: 'shop' });
  assert.deepEqual(await labelsOf('/container'), { team: 'shop' });
  for (const other of [
    '/system.slice/xcrun-web.scope',
    '/crun-web.scope/inner',
    '/system.slice/runc-web.scope',
  ]) {
    assert.equal(await labelsOf(other), null, other);
  }
  const users = '/user.slice/user-1000.slice/user@1000.service/crun-web.scope';
  assert.equal(await labelsOf(users), null, 'a user may name a scope of their own after it');
});
