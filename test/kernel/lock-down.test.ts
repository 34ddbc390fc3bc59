// What fdspan gives up once it is attached: asked of the kernel, for every thread.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { describeFilter } from '../../src/bpf/lock-down.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';

const skip = whyNoKernelTests() ?? false;
const module = (path: string): string =>
  JSON.stringify(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)));
/** linux/seccomp.h: SECCOMP_MODE_FILTER. */
const MODE_FILTER = 'Seccomp:\t2';

test('every thread of a collector that runs is filtered, and can gain no rights', { skip }, async (t) => {
  const collector = await startCollector({
    endpoint: 'http://127.0.0.1:1',
    containerIds: [],
    set: { 'limits.stop_deadline': '0ms' },
  });
  t.after(() => collector.kill());
  const tasks = `/proc/${collector.pid}/task`;
  const statuses = readdirSync(tasks).map((tid) => readFileSync(`${tasks}/${tid}/status`, 'utf8'));
  assert.ok(statuses.length > 4, 'the pump, and threads of Node');
  for (const status of statuses) {
    assert.ok(status.includes(MODE_FILTER), status);
    assert.ok(status.includes('NoNewPrivs:\t1'), status);
  }
  await collector.stop();
});

test('afterwards a program can neither be loaded nor executed, and the rest goes on', { skip }, () => {
  const script = `
    import { readFileSync } from 'node:fs';
    import { readFile } from 'node:fs/promises';
    import { spawnSync } from 'node:child_process';
    import { askKernel } from ${module('bpf/host-namespace.ts')};
    import { lockDown } from ${module('bpf/lock-down.ts')};
    const told = { loadsBefore: askKernel(null) !== null, execBefore: spawnSync('true').status };
    told.whyNot = lockDown();
    told.loadsAfter = askKernel(null) !== null;
    told.execAfter = spawnSync('true').error?.code;
    told.reads = readFileSync('/proc/self/comm', 'utf8') === (await readFile('/proc/self/comm', 'utf8'));
    console.log(JSON.stringify(told));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.notEqual(stdout, '', stderr);
  assert.deepEqual(JSON.parse(stdout), {
    loadsBefore: true,
    execBefore: 0,
    whyNot: null,
    loadsAfter: false,
    execAfter: 'EPERM',
    reads: true,
  });
});

test('there is a filter for each architecture that fdspan is built for', () => {
  for (const architecture of ['x64', 'arm64']) assert.ok((describeFilter(architecture)?.length ?? 0) > 0);
  assert.equal(describeFilter('mips'), null);
});
