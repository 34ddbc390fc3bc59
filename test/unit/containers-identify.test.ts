import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { identify } from '../../src/cli/identify.ts';

async function run(args: readonly string[], input: Buffer | string = '') {
  const out = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk, _encoding, done) {
        out[name] += String(chunk);
        done();
      },
    });
  const stdin = Readable.from([Buffer.from(input)]);
  const code = await identify(args, { stdin, stdout: sink('stdout'), stderr: sink('stderr') });
  return { code, ...out };
}

const A = 'a1'.repeat(32);

test('prints one JSON object for cgroup text on standard input', async () => {
  const { code, stdout } = await run(['-'], `0::/kubepods/pod4c9f1974-5c46-44c2-b42f-3bbf0e98eef9/${A}\n`);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), {
    container_id: A,
    runtime: 'unknown',
    pod_uid: '4c9f1974-5c46-44c2-b42f-3bbf0e98eef9',
    parent_id: null,
  });
});

test('prints nulls for what is no container, and for empty text', async () => {
  const nothing = { container_id: null, runtime: null, pod_uid: null, parent_id: null };
  assert.deepEqual(JSON.parse((await run(['-'], '0::/init.scope\n')).stdout), nothing);
  assert.deepEqual(JSON.parse((await run(['-'])).stdout), nothing);
});

test('keeps names that are UTF-8 and escapes bytes that are not', async () => {
  const text = Buffer.concat([Buffer.from('0::/lxc/naïve'), Buffer.of(0xff, 0x0a)]);
  assert.equal(JSON.parse((await run(['-'], text)).stdout).container_id, 'naïve\\xff');
});

test('reads a process by its pid, and itself without one', async () => {
  assert.equal((await run([String(process.pid)])).stdout, (await run([])).stdout);
});

for (const args of [['abc'], ['0'], ['-1'], ['1.5'], ['../self'], ['--json'], ['1', '2'], ['4294967295']]) {
  test(`refuses ${args.join(' ')} with exit code 64 and a reason`, async () => {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, 64);
    assert.equal(stdout, '');
    assert.match(stderr, /give|takes/);
  });
}

test('refuses more input than any /proc/PID/cgroup has', async () => {
  assert.equal((await run(['-'], Buffer.alloc((1 << 20) + 1, 0x61))).code, 64);
});
