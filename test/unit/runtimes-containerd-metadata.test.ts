import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { containerdMetadata, ociRuntimeOf } from '../../src/containers/runtimes/grpc/containerd-metadata.ts';

const run = promisify(execFile);

test("names the OCI runtime by its shim, unless the shim was told another runtime's binary", () => {
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', ''), 'runc');
  assert.equal(ociRuntimeOf('io.containerd.runsc.v1', undefined), 'runsc');
  assert.equal(ociRuntimeOf('io.containerd.kata-qemu.v2', undefined), 'kata-qemu');
  assert.equal(ociRuntimeOf('/opt/bin/containerd-shim-runsc-v1', undefined), 'runsc');
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', 'crun'), 'crun');
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', '/usr/local/bin/crun'), 'crun');
  assert.equal(ociRuntimeOf('io.containerd.runc.v2', '/usr/local/bin/'), undefined);
  for (const shim of [
    '',
    'runc',
    'io.containerd..v2',
    'io.containerd.a b.v2',
    'x/io.containerd.runc.v2',
    7,
    null,
  ]) {
    assert.equal(ociRuntimeOf(shim, undefined), undefined);
  }
});

test('a record without an id is no container', () => {
  const record = { namespace: 'default', runcOptions: {}, sandbox: {}, version: undefined };
  assert.equal(containerdMetadata({ ...record, container: {} }), null);
  assert.deepEqual(containerdMetadata({ ...record, container: { id: 'a' } }), {
    id: 'a',
    runtimeName: 'containerd',
    labels: new Map(),
  });
});

test('a source that is asked nothing loads no gRPC', async () => {
  const modules = ['containerd', 'cri'].map((name) =>
    import.meta.resolve(`../../src/containers/runtimes/${name}.ts`),
  );
  const script = `
    import { createRequire } from 'node:module';
    const [{ ContainerdSource }, { CriSource }] = await Promise.all(${JSON.stringify(modules)}.map((url) => import(url)));
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('@grpc')).length;
    const sources = [new ContainerdSource('/nowhere/a.sock'), new CriSource('/nowhere/b.sock')];
    const before = loaded();
    await sources[0].find({ id: 'a', cgroupPath: '/' }, AbortSignal.timeout(5000)).catch(() => undefined);
    for (const source of sources) source.close();
    console.log(JSON.stringify([before, loaded() > 0]));
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  assert.deepEqual(JSON.parse(stdout), [0, true]);
});

test("a record with a free id names its group, where the container's spec names one by a path", () => {
  const groupOf = (cgroupsPath: unknown, id = 'web') => {
    const spec = { value: Buffer.from(JSON.stringify({ linux: { cgroupsPath } })) };
    const record = { namespace: 'prod', runcOptions: {}, sandbox: {}, version: undefined };
    return containerdMetadata({ ...record, container: { id, spec } })?.groupPath;
  };
  assert.equal(groupOf('/prod/web'), '/prod/web');
  assert.equal(groupOf('/a//b/./web/'), '/a/b/web');
  assert.equal(groupOf('/prod/wéb'), '/prod/w\xc3\xa9b', 'bytes, as groups are known by');
  for (const none of [
    undefined,
    'system.slice:cri-containerd:web',
    '',
    7,
    null,
    {},
    `/${'x'.repeat(5000)}`,
  ]) {
    assert.equal(groupOf(none), undefined);
  }
  assert.equal(groupOf('/prod/x', 'a1'.repeat(32)), undefined, 'a hex id needs no group');
});
