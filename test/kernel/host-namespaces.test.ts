// What the kernel's program says of process 1, against /proc. This machine's own process 1 may be out of reach, so that one
// of a new pid namespace is looked at as well, from inside.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { askKernel } from '../../src/bpf/host-namespace.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';

const skip = whyNoKernelTests() ?? false;
const module = fileURLToPath(new URL('../../src/bpf/host-namespace.ts', import.meta.url));

test('the kernel tells the namespaces of process 1 of the own pid namespace', { skip }, () => {
  const script = `
    import { statSync } from 'node:fs';
    import { askKernel } from ${JSON.stringify(module)};
    const inodeOf = (type) => statSync('/proc/1/ns/' + type).ino;
    console.log(JSON.stringify({ told: askKernel(null), expected: { mnt: inodeOf('mnt'), pid: inodeOf('pid') } }));`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync('unshare', ['--mount', '--pid', '--fork', '--mount-proc', ...node], {
    encoding: 'utf8',
  });
  assert.notEqual(stdout, '', stderr);
  const { told, expected } = JSON.parse(stdout) as Record<'told' | 'expected', unknown>;
  assert.deepEqual(told, expected);
  const outside = askKernel(null);
  assert.equal(outside?.pid, statSync('/proc/self/ns/pid').ino);
  assert.notDeepEqual(told, outside);
});

test('a BTF file that is none is no answer, and no end', { skip }, () => {
  assert.equal(askKernel('/dev/null'), null);
});
