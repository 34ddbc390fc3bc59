import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerdMetadata, ociRuntimeOf } from '../../src/containers/runtimes/containerd-metadata.ts';

test("names the OCI runtime by its shim, unless the shim was told another runtime's binary", () => {
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', ''), 'runc');
  assert.equal(ociRuntimeOf('io.containerd.runsc.v1', undefined), 'runsc');
  assert.equal(ociRuntimeOf('io.containerd.kata-qemu.v2', undefined), 'kata-qemu');
  assert.equal(ociRuntimeOf('/opt/bin/containerd-shim-runsc-v1', undefined), 'runsc');
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', 'crun'), 'crun');
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', '/usr/local/bin/crun'), 'crun');
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', '/usr/local/bin/'), null);
  for (const shim of [
    '',
    'runc',
    'io.containerd..v2',
    'io.containerd.a b.v2',
    'x/io.containerd.runc.v2',
    7,
    null,
  ]) {
    assert.equal(ociRuntimeOf(shim, undefined), null);
  }
});

test('a record without an id is no container', () => {
  const record = { namespace: 'default', runcOptions: {}, sandbox: {}, version: null };
  assert.equal(containerdMetadata({ ...record, container: {} }), null);
  assert.deepEqual(containerdMetadata({ ...record, container: { id: 'a' } }), {
    id: 'a',
    runtimeName: 'containerd',
  });
});
