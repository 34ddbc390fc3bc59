import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { containerOfPath } from '../../src/containers/cgroup-path.ts';
import { parseProcCgroup, readMemberships } from '../../src/containers/proc-cgroup.ts';

interface Sample {
  readonly title: string;
  readonly driver: string;
  readonly cgroup: string;
  readonly proc_cgroup: readonly string[];
  readonly container_id: string | null;
  readonly runtime: string | null;
}

const A = 'a1'.repeat(32);
const B = 'b2'.repeat(32);
const UUID = '6e1f0a52-1f34-4d5e-8f9c-0a1b2c3d4e5f';
const POD = '4c9f1974-5c46-44c2-b42f-3bbf0e98eef9';
const POD_UNDERSCORED = POD.replaceAll('-', '_');

const samples = JSON.parse(
  readFileSync(new URL('../helpers/data/cgroup-paths.json', import.meta.url), 'utf8'),
) as Sample[];

for (const sample of samples) {
  test(`tells ${sample.title} (${sample.driver}, ${sample.cgroup}) as its host does: ${sample.runtime}`, () => {
    const { container } = parseProcCgroup(`${sample.proc_cgroup.join('\n')}\n`);
    assert.equal(container?.containerId ?? null, sample.container_id);
    assert.equal(container?.runtime ?? null, sample.runtime);
  });
}

type Expected = readonly [id: string, runtime: string, podUid?: string | null, parentId?: string | null];

const containers: Record<string, Expected> = {
  [`/docker/${A}/docker/${B}`]: [B, 'docker', null, A],
  [`/docker/${A}/docker/${A}`]: [A, 'docker'],
  [`/docker/${A}/system.slice/nginx.service`]: [A, 'docker'],
  [`/docker/${A}/libpod_parent/conmon`]: [A, 'docker'],
  [`/docker/buildkit/0123456789abcdefghijklmno`]: ['0123456789abcdefghijklmno', 'docker'],
  [`/docker/${A}/buildkit/0123456789abcdefghijklmno`]: ['0123456789abcdefghijklmno', 'unknown', null, A],
  [`/system.slice:docker:${A}`]: [A, 'docker'],
  [`/system.slice/runc-web.scope`]: ['web', 'unknown'],
  [`/system.slice/crun-${A}.scope`]: [A, 'unknown'],
  [`/${A}`]: [A, 'unknown'],
  [`/actions_job/${A}`]: [A, 'unknown'],
  [`/ecs/${UUID}/${A}`]: [A, 'unknown'],
  [`/ecs/${'0a'.repeat(16)}/${'0a'.repeat(16)}-3141592653`]: [`${'0a'.repeat(16)}-3141592653`, 'unknown'],
  [`/k8s.io/${A}`]: [A, 'containerd'],
  [`/default/web/init.scope`]: ['web', 'containerd'],
  [`/prod/web-1`]: ['web-1', 'containerd'],
  [`/default/web (deleted)`]: ['web', 'containerd'],
  [`/lxc.payload.c1/system.slice/docker-${A}.scope`]: [A, 'docker', null, 'c1'],
  [`/lxc.payload.c1/init.scope`]: ['c1', 'lxc'],
  [`/lxc/100/ns/user.slice`]: ['100', 'lxc'],
  [`/machine.slice/machine-my\\x2dweb.scope/payload/init.scope`]: ['my-web', 'systemd-nspawn'],
  [`/machine.slice/systemd-nspawn@web.service/payload`]: ['web', 'systemd-nspawn'],
  [`/machine.slice/machine-lxc\\x2d7\\x2dweb.scope`]: ['lxc-7-web', 'lxc'],
  [`/nomad.slice/share.slice/${UUID}.redis.scope`]: [`${UUID}.redis`, 'nomad'],
  [`/kubepods.slice/kubepods-pod${POD_UNDERSCORED}.slice/crio-${A}.scope/container`]: [A, 'cri-o', POD],
  [`/kubepods/burstable/pod${'0a'.repeat(16)}/${A}`]: [A, 'unknown', '0a'.repeat(16)],
  [`/docker-${A}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${POD_UNDERSCORED}.slice/cri-containerd-${B}.scope`]:
    [B, 'containerd', POD, A],
  [`/machine.slice/machine-libpod_pod_${B}.slice/libpod-${A}.scope`]: [A, 'podman'],
  [`/libpod_parent/${B}/libpod-${A}`]: [A, 'podman'],
  [`/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_${B}.slice/libpod-${A}.scope/container`]:
    [A, 'podman'],
};

for (const [path, [id, runtime, podUid = null, parentId = null]] of Object.entries(containers)) {
  test(`finds ${runtime} in ${path.replaceAll(A, 'A').replaceAll(B, 'B')}`, () => {
    const found = containerOfPath(path);
    assert.deepEqual(
      [found?.containerId, found?.runtime, found?.podUid, found?.parentId],
      [id, runtime, podUid, parentId],
    );
  });
}

const hostPaths = [
  '/',
  '',
  '/init.scope',
  '/system.slice',
  '/system.slice/docker.service',
  '/system.slice/containerd.service',
  '/system.slice/docker.socket',
  `/system.slice/${A}.service`,
  `/system.slice/${A}-1a2b3c.timer`,
  `/system.slice/docker-${A}.mount`,
  `/system.slice/docker-${A.slice(1)}.scope`,
  `/system.slice/docker-${A.toUpperCase()}.scope`,
  `/system.slice/run-r${'0a'.repeat(16)}.scope`,
  `/kubepods/besteffort/pod${POD}`,
  `/kubepods.slice/kubepods-pod${POD_UNDERSCORED}.slice`,
  `/kubepods.slice/kubepods-pod${POD_UNDERSCORED}.slice/crio-conmon-${A}.scope`,
  `/kubepods/pod${POD}/crio-conmon-${A}`,
  `/libpod_parent/${A}`,
  '/machine.slice/machine-qemu\\x2d1\\x2dvm.scope',
  '/machine.slice/machine-web.scope/supervisor',
  '/user.slice/user-1000.slice/session-c2.scope',
  '/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.example.App-123.scope',
  '/user.slice/user-1000.slice/user@1000.service/user.slice/podman-12345.scope',
  '/openrc/sshd',
  '/openrc.sshd/sub',
  '/services/dnsmasq',
  '/podruntime/kubelet',
  '/uid_10001/pid_123',
  '/lxc.monitor/web',
  '/lxc.monitor.web',
  '/lxc.pivot',
  `/default/${'a'.repeat(77)}`,
  '/my group/web',
  '/a/b/c',
];

for (const path of hostPaths) {
  test(`takes ${JSON.stringify(path.replaceAll(A, 'A'))} for no container`, () => {
    assert.equal(containerOfPath(path), null);
  });
}

test("tells a container's own group from those below it", () => {
  const own = containerOfPath(`/machine.slice/libpod-${A}.scope`);
  const below = containerOfPath(`/machine.slice/libpod-${A}.scope/container`);
  assert.equal(own?.isOwnGroup, true);
  assert.equal(below?.isOwnGroup, false);
  assert.equal(below?.groupPath, `/machine.slice/libpod-${A}.scope`);
});

test('a namespace that only looks like containerd is marked as a guess', () => {
  assert.equal(containerOfPath('/prod/web')?.isGuess, true);
  assert.equal(containerOfPath('/default/web')?.isGuess, false);
  assert.equal(parseProcCgroup('4:memory:/prod/web\n0::/\n').container, null);
  assert.equal(parseProcCgroup('4:memory:/prod/web\n3:pids:/prod/web\n').container?.containerId, 'web');
});

test('splits a line on its first two colons only and says which hierarchy it took', () => {
  const text = `12:cpu,cpuacct:/a.slice:docker:${A}\n0::/system.slice/containerd.service\n`;
  const { container, hierarchy } = parseProcCgroup(text);
  assert.equal(container?.containerId, A);
  assert.deepEqual(hierarchy, {
    kind: 'cgroup1',
    controllers: ['cpu', 'cpuacct'],
    path: `/a.slice:docker:${A}`,
  });
  assert.deepEqual(readMemberships('1:name=systemd:/x\ngarbage\n:\n'), [
    { kind: 'cgroup1', controllers: ['name=systemd'], path: '/x' },
  ]);
});

test('v2 goes before v1, and the innermost container before both', () => {
  const both = parseProcCgroup(`3:pids:/docker/${A}\n0::/docker/${A}\n`);
  assert.equal(both.hierarchy?.kind, 'cgroup2');
  const nested = parseProcCgroup(`3:pids:/docker/${A}/docker/${B}\n0::/docker/${A}\n`);
  assert.equal(nested.container?.containerId, B);
  assert.equal(nested.hierarchy?.kind, 'cgroup1');
});
