// What doctor makes of the groups of a host's processes. The groups are written as the kernel shows them on real hosts.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { DoctorHost } from '../../src/cli/doctor-check.ts';
import { containerChecks, surveyContainers } from '../../src/cli/doctor-containers.ts';
import type { ScopeChoice } from '../../src/containers/scope-choice.ts';

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(64));
const HYBRID: ScopeChoice = {
  by: 'cgroup',
  byCgroup2: true,
  cgroup1Controller: 'pids',
  hierarchies: [],
  explanation: '',
};

interface Process {
  readonly cgroup: string;
  readonly cmdline?: string;
}

function host(t: TestContext, processes: readonly Process[], folders: readonly string[] = []): DoctorHost {
  const root = mkdtempSync(join(tmpdir(), 'fdspan-doctor-'));
  t.after(() => rmSync(root, { recursive: true }));
  processes.forEach(({ cgroup, cmdline = 'x\0' }, index) => {
    const folder = join(root, 'proc', String(100 + index));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'cgroup'), cgroup);
    writeFileSync(join(folder, 'cmdline'), cmdline);
  });
  for (const folder of folders) mkdirSync(root + folder, { recursive: true });
  return { root, environment: {}, kernelRelease: '6.12.1', architecture: 'x64' };
}

test('each runtime is told with its driver, its groups and what tells its containers apart', async (t) => {
  const survey = await surveyContainers(
    host(t, [
      { cgroup: `8:pids:/docker/${A}\n0::/docker/${A}\n` },
      { cgroup: `8:pids:/docker/${A}\n0::/docker/${A}/nested\n` },
      { cgroup: `8:pids:/docker/${B}\n0::/\n` },
      { cgroup: `1:name=systemd:/machine.slice/libpod-${C}.scope\n8:pids:/\n0::/user.slice/shell\n` },
      { cgroup: '8:pids:/\n0::/user.slice/shell\n' },
    ]),
    HYBRID,
  );
  assert.deepEqual(
    survey.runtimes.map((one) => ({ ...one })),
    [
      {
        runtime: 'docker',
        containers: 2,
        drivers: ['cgroupfs'],
        cgroup_versions: ['v2', 'v1'],
        v2_groups: { own: 1, shared: 0, root: 1 },
        told_apart: 2,
        told_apart_by: ['v2', 'v1 pids'],
      },
      {
        runtime: 'podman',
        containers: 1,
        drivers: ['systemd'],
        cgroup_versions: ['v1'],
        v2_groups: { own: 0, shared: 1, root: 0 },
        told_apart: 0,
        told_apart_by: [],
      },
    ],
  );
  const [docker, podman] = containerChecks(survey);
  assert.equal(docker.status, 'ok');
  assert.match(
    docker.detail,
    /^2 containers; cgroup driver cgroupfs; .* v2 groups: 1 of their own, 1 the root \(id 1\)/,
  );
  assert.equal(podman.status, 'warning');
  assert.match(podman.detail, /^1 container; cgroup driver systemd; .*1 shared; not told apart$/);
  assert.match(podman.cure ?? '', /scope\.by to mntns/);
});

test('namespaces tell apart what groups do not', async (t) => {
  const processes = [{ cgroup: `1:name=systemd:/machine.slice/libpod-${C}.scope\n0::/\n` }];
  const survey = await surveyContainers(host(t, processes), { ...HYBRID, by: 'mntns' });
  assert.deepEqual([survey.runtimes[0].told_apart, survey.runtimes[0].told_apart_by], [1, ['mntns']]);
  assert.equal(containerChecks(survey)[0].status, 'ok');
});

test('gVisor: its sandboxes are counted, and what the host can see of them is said', async (t) => {
  const cgroup = '8:pids:/web\n0::/\n';
  const processes = [{ cgroup, cmdline: 'runsc-sandbox\0--root=/run/runsc\0boot\0' }, { cgroup }];
  const survey = await surveyContainers(host(t, processes, ['/run/runsc/web_sandbox:web.state']), HYBRID);
  assert.deepEqual(
    survey.runtimes.map(({ runtime, containers, told_apart_by }) => [runtime, containers, told_apart_by]),
    [['runsc', 1, ['v1 pids']]],
  );
  const check = containerChecks(survey).find(({ name }) => name === 'gVisor');
  assert.match(check?.detail ?? '', /^1 sandbox: /);
  assert.match(check?.cure ?? '', /containers\.runtime_phase/);
});

test('a host without containers is no warning', async (t) => {
  const survey = await surveyContainers(host(t, [{ cgroup: '0::/init.scope\n' }]), HYBRID);
  assert.deepEqual(
    containerChecks(survey).map(({ status, detail }) => [status, detail.slice(0, 13)]),
    [['ok', 'none runs now']],
  );
});
