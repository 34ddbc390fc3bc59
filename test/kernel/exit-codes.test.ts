// What fdspan says and how it exits when it can't start; and that an unreachable backend isn't such a case.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { runToExit, startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
const NOBODY = 65534;

test('without privileges fdspan exits with 77 and names what it needs', { skip }, async () => {
  const { exitCode, stderr } = await runToExit(['run'], { uid: NOBODY });
  assert.equal(exitCode, 77, stderr);
  assert.match(stderr, /CAP_BPF|root/);
});

test('without BTF fdspan exits with 69 and names the path it tried', { skip }, async () => {
  const { exitCode, stderr } = await runToExit(['run', '--set', 'kernel.btf=/nonexistent']);
  assert.equal(exitCode, 69, stderr);
  assert.match(stderr, /\/nonexistent/);
});

test('bad configuration exits with 78 and lists every wrong value at once', { skip }, async () => {
  const { exitCode, stderr } = await runToExit([
    'run',
    '--set',
    'attach=sometimes',
    '--set',
    'limits.rings=1',
  ]);
  assert.equal(exitCode, 78, stderr);
  assert.match(stderr, /attach/);
  assert.match(stderr, /limits\.rings/);
});

test('a second fdspan on one spool exits with 78 and names the first', { skip }, async (t) => {
  const spool = mkdtempSync(join(tmpdir(), 'fdspan-spool-'));
  t.after(() => rmSync(spool, { recursive: true, force: true }));
  const endpoint = `http://127.0.0.1:${await closedPort()}`;
  const containerIds = ['0'.repeat(64)];
  const first = await startCollector({ endpoint, containerIds, set: { 'export.spool.dir': spool } });
  t.after(() => first.kill());
  const { exitCode, stderr } = await runToExit(['run', '--set', `export.spool.dir=${spool}`]);
  assert.equal(exitCode, 78, stderr);
  const { error, cure } = JSON.parse(stderr) as { error: string; cure: string };
  assert.equal(error, `the spool in ${spool} is used by another fdspan, pid ${first.pid}`);
  assert.match(cure, /export\.spool\.dir of its own/);
  await first.stop();
});

test('an unknown command exits with 64', { skip }, async () => {
  const { exitCode, stderr } = await runToExit(['trace-everything']);
  assert.equal(exitCode, 64, stderr);
});

/** A port of loopback that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

for (const protocol of ['grpc', 'http/protobuf'] as const)
  test(
    `an unreachable backend by ${protocol} is no start failure, and its spans are counted`,
    { skip },
    async (t) => {
      const group = makeContainerGroup();
      t.after(() => group.remove());
      const workload = await startWorkload({
        scenario: 'plain-closes',
        count: 13,
        procsFiles: [group.procsFile],
      });
      t.after(() => workload.end());
      const endpoint = `http://127.0.0.1:${await closedPort()}`;
      const set = { 'limits.stop_deadline': '2s' };
      const collector = await startCollector({ endpoint, protocol, containerIds: [group.id], set });
      t.after(() => collector.kill());
      workload.go();
      await workload.finished();
      const { counters } = await collector.stop();
      assert.equal(counters.spans_encoded, 26);
      assert.equal(counters.spans_accepted, 0);
      assert.equal(counters.shutdown + counters.retries_exhausted, 26);
    },
  );
