// fdspan as a pod of the DaemonSet: in a container, with two capabilities and the list of system calls, by real runtimes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startCollector, whyNoKernelTests, type LogLine } from '../helpers/collector-process.ts';
import { startContainer, whyNoContainers, type RunningContainer } from '../helpers/container.ts';
import { makePod } from '../helpers/daemonset-pod.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';

const OPENS = 17;
/** Of linux/capability.h: CAP_PERFMON, CAP_BPF. */
const CAPABILITIES = (1n << 38n) | (1n << 39n);
/** A daemon that other tests left in /run may have folders there that not even root can enter by their mode. */
const RUNTIME_SILENT = "a container runtime doesn't answer";
// Not left to the children: of two that have it at the start, either may be taken for the one that opened it.
const WAIT = 'exec 7> /tmp/held; while [ ! -e /go/go ]; do sleep 0.05 7>&-; done';
const SCRIPT = `${WAIT}; i=0; while [ $i -lt ${OPENS} ]; do echo hi > /tmp/own-$i; i=$((i+1)); done`;

function skipOf(runtime: 'runc' | 'crun'): string | false {
  return whyNoKernelTests() ?? whyNoContainers(runtime) ?? whyNoContainers('crun') ?? false;
}

async function startWork(t: TestContext): Promise<{ container: RunningContainer; go: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-daemonset-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const options = { runtime: 'crun', name: 'work', script: SCRIPT, volumes: [`${folder}:/go:ro`] } as const;
  const container = await startContainer(options);
  t.after(() => container.stop());
  return { container, go: () => writeFileSync(join(folder, 'go'), '') };
}

for (const runtime of ['runc', 'crun'] as const)
  test(
    `${runtime}: the DaemonSet's pod traces a container that ran before it, with two capabilities`,
    { skip: skipOf(runtime) },
    async (t) => {
      const receiver = await startReceiver({ protocol: 'grpc' });
      t.after(() => receiver.close());
      const { container, go } = await startWork(t);
      const pod = makePod({ runtime });
      t.after(() => pod.remove());
      const collector = await startCollector({
        endpoint: receiver.endpoint,
        containerIds: [container.id],
        ...pod,
      });
      t.after(() => collector.kill());
      const status = readFileSync(`/proc/${await pod.pid()}/status`, 'utf8');
      assert.equal(BigInt(`0x${/^CapEff:\t(\w+)$/m.exec(status)?.[1]}`), CAPABILITIES);
      assert.match(status, /^Seccomp:\t2$/m);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      // The pod's, and what fdspan itself gives up.
      assert.match(status, /^Seccomp_filters:\t2$/m);
      go();
      assert.equal(await container.wait(), 0, await container.logs());
      await collector.stop();
      assert.deepEqual(
        receiver.spans.map(({ span }) => span.attributes['file.path']).toSorted(),
        ['/tmp/held', ...Array.from({ length: OPENS }, (_, index) => `/tmp/own-${index}`)].toSorted(),
        'what it opens, and what was open before',
      );
      for (const { span, resource } of receiver.spans) {
        const { attributes } = resource;
        assert.equal(attributes['container.id'], container.id);
        assert.equal(attributes['k8s.node.name'], 'node-1.example');
        assert.equal(attributes['host.name'], 'node-1.example');
        assert.equal(attributes['fdspan.cgroup.path'], container.cgroupPath);
        assert.equal(span.attributes['process.pid'], container.pid, 'the number that the host knows');
      }
      const isToFollow = ({ level, msg }: LogLine): boolean =>
        (level === 'warn' || level === 'error') && msg !== RUNTIME_SILENT;
      assert.deepEqual(collector.logs.filter(isToFollow), []);
    },
  );

test(
  'what the backend does not take is spooled by one pod and sent by the next',
  { skip: skipOf('runc') },
  async (t) => {
    const receiver = await startReceiver({ protocol: 'http/protobuf' });
    t.after(() => receiver.close());
    const { container, go } = await startWork(t);
    const pod = makePod({ runtime: 'runc' });
    t.after(() => pod.remove());
    const start = (endpoint: string) =>
      startCollector({
        endpoint,
        protocol: 'http/protobuf',
        containerIds: [container.id],
        wrap: pod.wrap,
        set: { ...pod.set, 'limits.stop_deadline': '200ms' },
      });
    const first = await start('http://127.0.0.1:1');
    t.after(() => first.kill());
    go();
    assert.equal(await container.wait(), 0, await container.logs());
    assert.equal((await first.stop()).counters.spooled, OPENS + 1);
    const second = await start(receiver.endpoint);
    t.after(() => second.kill());
    while (receiver.spans.length < OPENS + 1) await delay(20);
    const { counters } = await second.stop();
    assert.equal(counters.spool_recovered, OPENS + 1);
    assert.equal(counters.spans_accepted, OPENS + 1);
  },
);

test('doctor in the pod finds it fit, and tells what the pod has', { skip: skipOf('runc') }, async (t) => {
  const pod = makePod({ runtime: 'runc' });
  t.after(() => pod.remove());
  const [command, ...args] = pod.wrap(['/bin/fdspan', 'doctor', '--json']);
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; detail: string }[] };
  const details = Object.fromEntries(checks.map(({ name, detail }) => [name, detail]));
  assert.equal(details.capabilities, 'CAP_BPF, CAP_PERFMON', stderr);
  assert.match(details.seccomp, /^1 filter: .*no_new_privs is set$/);
  assert.match(details.spool, /^\/var\/lib\/fdspan\/spool .*can be written/);
  assert.match(details.attach, /tracepoint works/);
  // The whole tree of the host, seen from a control group namespace.
  assert.equal(details['cgroup view'], undefined);
  assert.deepEqual(
    checks.filter(({ status }) => status === 'problem'),
    [],
  );
});

test('the list of system calls refuses what it does not name', { skip: skipOf('runc') }, async (t) => {
  for (const type of ['Localhost', 'Unconfined']) {
    const pod = makePod({
      runtime: 'runc',
      securityContext: { seccompProfile: { type, localhostProfile: 'fdspan.json' } },
    });
    t.after(() => pod.remove());
    const [command, ...args] = pod.wrap(['/usr/bin/unshare', '--user', '/bin/true']);
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (type === 'Unconfined') assert.equal(status, 0, stderr);
    else assert.match(stderr, /unshare failed: Operation not permitted/);
  }
});
