// The systemd unit under a real systemd, in both modes of control groups: what systemd is told, what it does
// then, and that the unit's capabilities and sandbox leave fdspan what it needs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { checkLaw, whyNoKernelTests } from '../helpers/collector-process.ts';
import { installUnit, runAsContainer, type InstalledUnit, type UnitOptions } from '../helpers/fdspan-unit.ts';
import { startReceiver, type OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { startSystemd, whyNoSystemd, type CgroupMode, type SystemdHost } from '../helpers/systemd-host.ts';

const OPENS = 17;
/** Of files that are spooled: some 500 KB of spans. */
const BATCH = 1000;
const BATCHES_MAX = 40;
const UNTIL_SENT_MS = 60_000;

/** In the unit; spelled out here so that a change of the unit is noticed. */
const STOP_SECONDS_MAX = 30;

/** In the unit as well, as LimitNICE. */
const PUMP_NICE = -15;

/** Numbers of linux/capability.h, of what the unit's comment says is needed. */
const CAPABILITIES = {
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
};

const skips = Object.fromEntries(
  (['hybrid', 'unified'] as const).map((mode) => [mode, whyNoKernelTests() ?? whyNoSystemd(mode) ?? false]),
) as Record<CgroupMode, string | false>;

/** Most tests don't depend on the mode: they take the one that every machine has. */
const skip = skips.unified;

interface Bench {
  readonly host: SystemdHost;
  readonly unit: InstalledUnit;
  readonly receiver: OtlpReceiver;
  readonly containerId: string;
}

async function prepare(
  t: TestContext,
  mode: CgroupMode = 'unified',
  options: Partial<UnitOptions> = {},
): Promise<Bench> {
  const receiver = await startReceiver({ protocol: 'grpc' });
  t.after(() => receiver.close());
  const host = await startSystemd({ mode });
  t.after(() => host.stop());
  const containerId = randomBytes(32).toString('hex');
  const config = `
export: {endpoint: "${receiver.endpoint}"}
containers: {allow: [{id: "${containerId}"}]}
telemetry: {metrics: {otlp: false, containers: false}}
`;
  const unit = await installUnit(host, { config, ...options });
  return { host, unit, receiver, containerId };
}

async function start(unit: InstalledUnit): Promise<void> {
  const result = await unit.control('start');
  assert.equal(result.exitCode, 0, `${result.stderr}\n${(await unit.journal()).join('\n')}`);
}

/** Opens files by a shell's redirection. */
function opens(name: string, count = OPENS): string {
  return `i=0; while [ $i -lt ${count} ]; do echo hi > /tmp/${name}-$i; i=$((i+1)); done`;
}

function pathsOf(name: string): string[] {
  return Array.from({ length: OPENS }, (_, index) => `/tmp/${name}-${index}`);
}

function pathsIn(bench: Bench, name: string): unknown[] {
  return receivedPaths(bench).filter((path) => typeof path === 'string' && path.startsWith(`/tmp/${name}-`));
}

function receivedPaths({ receiver }: Bench): unknown[] {
  return receiver.spans.map(({ span }) => span.attributes['file.path']);
}

for (const mode of ['hybrid', 'unified'] as const) {
  test(
    `${mode}: the unit is active once fdspan traces, and stops in time with the law held`,
    { skip: skips[mode] },
    async (t) => {
      const bench = await prepare(t, mode);
      const { unit, receiver, host, containerId } = bench;
      await start(unit);
      await runAsContainer(host, opens('first'), containerId);
      const beganMs = performance.now();
      assert.equal((await unit.control('stop')).exitCode, 0);
      const seconds = (performance.now() - beganMs) / 1000;
      assert.ok(seconds < STOP_SECONDS_MAX, `${seconds} s`);
      assert.deepEqual(await unit.show('ActiveState', 'Result', 'ExecMainStatus'), {
        ActiveState: 'inactive',
        Result: 'success',
        ExecMainStatus: '0',
      });
      assert.deepEqual(receivedPaths(bench), pathsOf('first'));
      for (const { span, resource } of receiver.spans) {
        assert.equal(resource.attributes['container.id'], containerId);
        assert.equal(resource.attributes['container.runtime.name'], 'docker');
        assert.equal(span.attributes['fdspan.close.reason'], 'dup', 'the shell puts its output back by dup2');
      }
      const counters = await unit.summary();
      checkLaw(counters);
      assert.equal(counters.spans_accepted, OPENS);
    },
  );
}

test('one start of the unit', { skip }, async (t) => {
  const { unit, host, containerId } = await prepare(t);

  await t.test(
    'while it starts it is activating, and says nothing; READY and STATUS come together',
    async () => {
      assert.equal((await unit.control('start', '--no-block')).exitCode, 0);
      const early: Readonly<Record<string, string>>[] = [];
      const names = ['ActiveState', 'StatusText', 'MainPID'];
      const active = await unit.until(
        (properties) => {
          if (properties.ActiveState !== 'active') early.push(properties);
          return properties.ActiveState === 'active';
        },
        ...names,
      );
      assert.ok(early.some(({ ActiveState, MainPID }) => ActiveState === 'activating' && MainPID !== '0'));
      for (const { StatusText } of early) assert.equal(StatusText, '');
      assert.match(active.StatusText, /^the host is v2: /);
      const status = await host.run(['systemctl', 'status', 'fdspan', '--no-pager']);
      assert.ok(status.stdout.includes(`Status: "${active.StatusText}"`), status.stdout);
    },
  );

  await t.test('the process has the capabilities of the unit and no others', async () => {
    const { MainPID } = await unit.show('MainPID');
    const { stdout } = await host.run(['cat', `/proc/${MainPID}/status`]);
    const wanted = Object.values(CAPABILITIES).reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
    const { stdout: own } = await host.run(['cat', '/proc/1/status']);
    assert.equal(maskOf(stdout, 'CapBnd'), wanted & maskOf(own, 'CapBnd'), 'as far as the machine has them');
    assert.equal(maskOf(stdout, 'CapEff'), maskOf(stdout, 'CapBnd'));
    assert.match(stdout, /^NoNewPrivs:\t1$/m);
  });

  await t.test('the pump runs before others by the limit that the unit gives', async (subtest) => {
    const { MainPID, LimitNICE } = await unit.show('MainPID', 'LimitNICE');
    assert.equal(LimitNICE, String(20 - PUMP_NICE), 'setrlimit(2): 20 minus the nice value');
    const { stdout: limits } = await host.run(['cat', `/proc/${MainPID}/limits`]);
    const limit = /^Max nice priority\s+(\d+)/m.exec(limits)?.[1];
    if (limit !== LimitNICE) {
      subtest.skip('this machine has no CAP_SYS_RESOURCE: systemd cannot raise RLIMIT_NICE');
      return;
    }
    const script = `for task in /proc/${MainPID}/task/*; do cat $task/comm $task/stat; done`;
    const { stdout } = await host.run(['sh', '-c', script]);
    const nice = /^WorkerThread\n\d+ \(WorkerThread\) (?:\S+ ){16}(\S+)/m.exec(stdout)?.[1];
    assert.equal(nice, String(PUMP_NICE), stdout);
  });

  await t.test('systemctl reload reads the configuration again, in the same process', async () => {
    const before = await unit.show('MainPID');
    assert.equal((await unit.control('reload')).exitCode, 0);
    await unit.untilLog('configuration reloaded');
    assert.deepEqual(await unit.show('MainPID'), before);
  });

  await t.test('after ten seconds the status tells rates, drops and containers', async () => {
    await runAsContainer(host, opens('counted'), containerId);
    const { StatusText } = await unit.until(
      (properties) => properties.StatusText.includes('spans/s'),
      'StatusText',
    );
    // The first line looks back on 10 s, and on a busy machine on some more.
    const [, rate] = /^(\d+\.\d) spans\/s, no drops, [1-9]\d* containers?$/.exec(StatusText) ?? [];
    assert.ok(Number(rate) > OPENS / 20 && Number(rate) <= OPENS / 10, StatusText);
  });
});

function maskOf(status: string, name: string): bigint {
  return BigInt(`0x${new RegExp(`^${name}:\\t([0-9a-f]+)$`, 'm').exec(status)?.[1]}`);
}

test('a bad configuration ends with 78, and is not tried again', { skip }, async (t) => {
  const { unit } = await prepare(t, 'unified', { config: 'exporter: {}\n' });
  assert.notEqual((await unit.control('start')).exitCode, 0);
  // A start that is due again is `activating`, with the sub-state `auto-restart`.
  assert.deepEqual(await unit.show('ActiveState', 'SubState', 'Result', 'ExecMainStatus', 'NRestarts'), {
    ActiveState: 'failed',
    SubState: 'failed',
    Result: 'exit-code',
    ExecMainStatus: '78',
    NRestarts: '0',
  });
  const journal = (await unit.journal()).join('\n');
  assert.match(journal, /fdspan\.yaml.*exporter/, 'the journal names file and key');
});

/** In the folder that the unit owns; memory is small, so that a few thousand files are more than it holds. */
const WITH_SPOOL = [
  'Environment=FDSPAN_EXPORT_SPOOL_DIR=/var/lib/fdspan/spool',
  'Environment=FDSPAN_EXPORT_QUEUE_BYTES_MAX=1MiB',
  'Environment=FDSPAN_SAMPLING_TARGET_HOST=0',
];

interface Waiting {
  readonly queue: { readonly spans: number };
  readonly spool: { readonly spans: number };
}

async function ask(host: SystemdHost): Promise<Waiting> {
  const { stdout, stderr } = await host.run(['fdspan', 'status', '--json']);
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Waiting;
}

/** Opens files until some are on the disk, a few at a time: a burst is dropped where the disk is slower. Returns how many. */
async function spill({ host, containerId }: Bench): Promise<number> {
  for (let batch = 0; batch < BATCHES_MAX; batch += 1) {
    await runAsContainer(host, opens(`spilled-${batch}`, BATCH), containerId);
    const { spool } = await ask(host);
    if (spool.spans > 0) return spool.spans;
  }
  assert.fail('nothing is spooled');
}

test('a killed collector is started again, sends what it had spooled, and traces', { skip }, async (t) => {
  const bench = await prepare(t, 'unified', { service: WITH_SPOOL });
  const { unit, host, containerId, receiver } = bench;
  receiver.otherwise = { type: 'http-status', status: 503 };
  await start(unit);
  const spooled = await spill(bench);
  const before = await unit.show('MainPID');
  assert.equal((await unit.control('kill', '--signal=KILL')).exitCode, 0);
  const after = await untilRestarted(unit);
  assert.notEqual(after.MainPID, before.MainPID);
  receiver.otherwise = { type: 'accept' };
  await runAsContainer(host, opens('again'), containerId);
  await receiver.waitFor(() => pathsIn(bench, 'spilled').length >= spooled, UNTIL_SENT_MS);
  for (let isSent = false; !isSent;) {
    const { queue, spool } = await ask(host);
    isSent = queue.spans === 0 && spool.spans === 0;
  }
  assert.equal((await unit.control('stop')).exitCode, 0);
  assert.deepEqual(pathsIn(bench, 'again'), pathsOf('again'));
  const counters = await unit.summary();
  checkLaw(counters);
  const { spool_recovered, spool_damaged } = counters;
  assert.ok(spool_recovered >= spooled, `${spool_recovered} of ${spooled}`);
  assert.equal(new Set(pathsIn(bench, 'spilled')).size, spool_recovered - spool_damaged);
});

function untilRestarted(unit: InstalledUnit): Promise<Readonly<Record<string, string>>> {
  return unit.until(
    ({ NRestarts, ActiveState }) => NRestarts === '1' && ActiveState === 'active',
    ...['NRestarts', 'ActiveState', 'MainPID'],
  );
}

/** The result of each run, as systemd tells it to ExecStopPost. */
const KEEP_RESULT = 'ExecStopPost=/bin/sh -c \'echo "result $SERVICE_RESULT"\'';

/**
 * Freezes one thread of the service by a threaded control group inside of its own (cgroups.rst, "Threads");
 * a thread that is frozen so can still be killed.
 */
const FREEZE_PUMP = `set -eu
cd "$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/system.slice/fdspan.service"
mkdir pump
echo threaded > pump/cgroup.type
for task in /proc/$1/task/*; do
  if [ "$(cat "$task/comm")" = WorkerThread ]; then echo "\${task##*/}" > pump/cgroup.threads; fi
done
echo 1 > pump/cgroup.freeze
until grep -q 'frozen 1' pump/cgroup.events; do sleep 0.01; done
wc -l < pump/cgroup.threads
`;

for (const mode of ['hybrid', 'unified'] as const) {
  test(
    `${mode}: a pump that hangs is ended by the watchdog and started again, though the main thread runs`,
    { skip: skips[mode] },
    async (t) => {
      const { unit, host } = await prepare(t, mode, { service: ['WatchdogSec=2', KEEP_RESULT] });
      await start(unit);
      const { MainPID } = await unit.show('MainPID');
      const frozen = await host.run(['sh', '-c', FREEZE_PUMP, 'sh', MainPID]);
      assert.equal(frozen.stdout.trim(), '1', `one thread is frozen: ${frozen.stderr}`);
      const answer = await host.run(['fdspan', 'status']);
      assert.equal(answer.exitCode, 0, `the main thread answers: ${answer.stderr}`);
      await untilRestarted(unit);
      assert.ok((await unit.journal()).includes('result watchdog'));
    },
  );
}

test(
  'a process that is stopped as a whole is ended by the watchdog and started again',
  { skip },
  async (t) => {
    const { unit } = await prepare(t, 'unified', { service: ['WatchdogSec=2', KEEP_RESULT] });
    await start(unit);
    assert.equal((await unit.control('kill', '--signal=STOP')).exitCode, 0);
    await untilRestarted(unit);
    assert.ok((await unit.journal()).includes('result watchdog'));
  },
);

test(
  'the watchdog lets an idle collector live, and one whose stop takes longer than its time',
  { skip },
  async (t) => {
    const { unit, host, receiver, containerId } = await prepare(t, 'unified', {
      service: ['WatchdogSec=1', 'Environment=FDSPAN_LIMITS_STOP_DEADLINE=5s', KEEP_RESULT],
    });
    await start(unit);
    await unit.until(({ StatusText }) => StatusText.includes('spans/s'), 'StatusText');
    receiver.otherwise = { type: 'hang' };
    await runAsContainer(host, opens('unsent'), containerId);
    const beganMs = performance.now();
    await unit.control('stop');
    assert.ok(performance.now() - beganMs > 4_000, 'the stop waited for the backend');
    assert.ok((await unit.journal()).includes('result success'));
    const counters = await unit.summary();
    checkLaw(counters);
    assert.equal(counters.shutdown, OPENS, 'what was never acknowledged is a drop, by its name');
  },
);

test('systemd-analyze finds nothing to say about the unit', { skip }, async (t) => {
  const { host } = await prepare(t);
  const result = await host.run(['systemd-analyze', 'verify', '--man=no', 'fdspan.service']);
  assert.deepEqual(result, { exitCode: 0, stdout: '', stderr: '' });
});
