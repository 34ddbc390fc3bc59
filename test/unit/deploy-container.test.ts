// What runs fdspan in a container: the image's recipe copies what is there, the DaemonSet asks for no more than the documents
// say, and the profile of system calls names calls that exist and allows none that fdspan gives up.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { START_CHECKS } from '../../src/cli/stage-checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { KEYS } from '../../src/config/schema.ts';
import { copiesOf, podSpecOf, readManifests, readProfile } from '../helpers/daemonset-pod.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifests = readManifests();
const pod = podSpecOf(manifests);
const [container] = pod.containers;
const dockerfile = read('deploy/container/Dockerfile');
/** Of the checkout. */
const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) =>
  paths.split(' '),
);

test('the recipe copies files of the repository, and of the build what the program looks for', () => {
  assert.ok(sources.length > 8, dockerfile);
  const tracked = spawnSync('git', ['ls-files', '-z', ...sources], { cwd: root, encoding: 'utf8' });
  const files = tracked.status === 0 ? tracked.stdout.split('\0') : null;
  for (const source of sources) {
    assert.ok(existsSync(join(root, source)), source);
    assert.ok(
      files?.some((file) => file === source || file.startsWith(`${source}/`)) ?? true,
      `${source} is in git`,
    );
  }
  const built = copiesOf(dockerfile).filter(({ isBuilt }) => isBuilt);
  assert.deepEqual(built.flatMap(({ sources: of }) => of).toSorted(), ['bpf/build', 'dist', 'node_modules']);
});

test('what the recipe copies is given to the build, and of a checkout nothing else', () => {
  const [all, ...lines] = read('.dockerignore')
    .split('\n')
    .filter((line) => !/^(#|$)/.test(line));
  assert.equal(all, '*');
  const allowed = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  assert.deepEqual(allowed.toSorted(), [...new Set(sources)].toSorted());
  // The last line that matches counts: only what is made within an allowed folder is taken back.
  assert.deepEqual(lines.slice(allowed.length), ['bpf/build']);
  assert.match(read('.gitignore'), /^build\/$/m);
});

test('the pod has two capabilities, no more rights than its user, and a root that nobody writes', () => {
  assert.deepEqual(container.securityContext, {
    runAsUser: 0,
    runAsGroup: 0,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    seccompProfile: { type: 'Localhost', localhostProfile: 'fdspan.json' },
    capabilities: { drop: ['ALL'], add: ['BPF', 'PERFMON'] },
  });
  assert.deepEqual([pod.hostPID, pod.hostNetwork, pod.hostIPC], [true, undefined, undefined]);
  assert.equal(pod.automountServiceAccountToken, false);
});

test('every folder of the host is read-only but two of fdspan’s own, and each is in the documents', () => {
  const documents = read('docs/operating.md');
  const own = ['/run/fdspan', '/var/lib/fdspan'];
  assert.deepEqual(
    container.volumeMounts.map(({ name }) => name).toSorted(),
    pod.volumes.map(({ name }) => name).toSorted(),
  );
  for (const { name, mountPath, readOnly } of container.volumeMounts) {
    const { hostPath } = pod.volumes.find((volume) => volume.name === name)!;
    assert.equal(readOnly ?? false, !own.includes(mountPath), mountPath);
    if (hostPath === undefined) continue;
    assert.equal(hostPath.path, mountPath);
    assert.ok(documents.includes(`\`${mountPath}\``), `${mountPath} is in docs/operating.md`);
  }
});

test('the pod’s configuration is one that fdspan takes, and its variables are keys', (t) => {
  const text = manifests.find(({ kind }) => kind === 'ConfigMap')?.data?.['fdspan.yaml'];
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-configmap-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'fdspan.yaml');
  writeFileSync(file, text!);
  const own = container.env.filter(({ name }) => name.startsWith('FDSPAN_'));
  const env = Object.fromEntries(
    own.map(({ name, value }) => [name, value!.replaceAll('$(NODE_NAME)', 'node-1')]),
  );
  const names = Object.keys(KEYS).map((key) => `FDSPAN_${key.toUpperCase().replaceAll('.', '_')}`);
  for (const { name } of own) assert.ok(names.includes(name), name);
  const { config } = loadConfig({ file, sets: [], env }, START_CHECKS);
  assert.deepEqual(config.resource, { 'k8s.node.name': 'node-1', 'host.name': 'node-1' });
  const { host, port } = config.telemetry.metrics.prometheus!;
  // A pod has IPv4, IPv6 or both.
  assert.equal(host, null);
  assert.deepEqual(container.ports, [{ name: 'metrics', containerPort: port }]);
});

test('the pod asks for the memory that the documents measured, and has the limit of the unit', () => {
  const [, maps] = /^## Memory$(.*?)^## /ms.exec(read('docs/operating.md'))!;
  const mebibytes = [...maps.matchAll(/ ([\d.]+) MiB \|$/gm)].map(([, amount]) => Number(amount));
  assert.ok(mebibytes.length > 8, maps);
  const resident = [
    ...[...read('docs/soak.md').matchAll(/^\| most +\| ([\d.]+)/gm)].map(([, most]) => Number(most)),
    Number(/^\| memory with .*?\| (\d+) MB/m.exec(read('docs/overhead.md'))![1]),
  ];
  assert.equal(resident.length, 3);
  const needed = mebibytes.reduce((sum, each) => sum + each) + (Math.max(...resident) * 1e6) / (1 << 20);
  const { requests, limits } = container.resources;
  const [, request] = /^(\d+)Mi$/.exec(requests.memory)!;
  assert.ok(Number(request) >= needed, `${request} MiB are asked for, ${needed} needed`);
  const [, limit] = /^(\d)Gi$/.exec(limits.memory)!;
  assert.ok(Number(limit) * 1024 >= 2 * needed, `at most ${limit} GiB, ${needed} MiB needed`);
  assert.match(read('deploy/systemd/fdspan.service'), new RegExp(`^MemoryMax=${limit}G$`, 'm'));
});

test('the pod is given as long to stop as the unit, and is asked by paths that fdspan answers', () => {
  const unit = /^TimeoutStopSec=(\d+)$/m.exec(read('deploy/systemd/fdspan.service'))?.[1];
  assert.equal(String(pod.terminationGracePeriodSeconds), unit);
  const probes = JSON.stringify([container.startupProbe, container.readinessProbe, container.livenessProbe]);
  assert.deepEqual(
    [...probes.matchAll(/"path":"([^"]*)"/g)].map(([, path]) => path),
    ['/readyz', '/readyz', '/healthz'],
  );
});

const NUMBERS = ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm-generic/unistd.h'];
const missing = NUMBERS.find((path) => !existsSync(path));

test('the profile names system calls that exist', { skip: missing && `no ${missing}` }, () => {
  const known = new Set(
    NUMBERS.flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(/#define __NR\d*_(\w+)/g)].map(([, name]) => name),
    ),
  );
  for (const { names } of readProfile().syscalls) for (const name of names) assert.ok(known.has(name), name);
});

test('the profile denies by default, allows nothing twice, and nothing that fdspan gives up but starting programs', () => {
  const { defaultAction, syscalls } = readProfile();
  assert.equal(defaultAction, 'SCMP_ACT_ERRNO');
  const allowed = syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names);
  const once = allowed.filter((name) => name !== 'socket');
  assert.equal(new Set(once).size, once.length);
  // execve starts the program itself; these are in the list of src/bpf/lock-down.ts, spelled out here.
  const givenUp =
    'ptrace mount umount2 pivot_root unshare setns open_by_handle_at process_vm_readv process_vm_writev init_module finit_module kexec_load perf_event_open execveat';
  for (const name of `${givenUp} clone3 io_uring_setup userfaultfd keyctl add_key`.split(' '))
    assert.ok(!allowed.includes(name), name);
});
