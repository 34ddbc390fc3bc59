import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { after, test } from 'node:test';
import { exitCodeOfChecks, ok, problem, warning, type DoctorHost } from '../../src/cli/doctor-check.ts';
import {
  checkBtf,
  checkKernel,
  checkLockdown,
  checkMemlock,
  checkMemory,
} from '../../src/cli/doctor-kernel.ts';
import { checkBackend } from '../../src/cli/doctor-backend.ts';
import { checkAttachModes, checkLibraries, checkNode } from '../../src/cli/doctor-programs.ts';
import { checkRuntimes } from '../../src/cli/doctor-runtimes.ts';
import { checkScope } from '../../src/cli/doctor-scope.ts';
import { doctor, type DoctorSeams } from '../../src/cli/doctor.ts';

const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

/** A host whose files are these. A name that ends in `/` is a folder. */
function host(files: Record<string, string | Buffer> = {}, kernelRelease = '6.12.1'): DoctorHost {
  const root = mkdtempSync(join(tmpdir(), 'fdspan-doctor-'));
  folders.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(path.endsWith('/') ? root + path : dirname(root + path), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(root + path, content, { mode: 0o755 });
  }
  return { root, environment: { PATH: '/usr/bin' }, kernelRelease, architecture: 'x64' };
}

test('kernels: too old is a problem, slow a warning, another architecture a problem', () => {
  assert.equal(checkKernel(host()).status, 'ok');
  assert.equal(checkKernel(host({}, '5.15.0-91-generic')).status, 'warning');
  assert.deepEqual(
    [checkKernel(host({}, '5.4.0')).status, checkKernel(host({}, '5.4.0')).kind],
    ['problem', 'kernel'],
  );
  assert.equal(checkKernel({ ...host(), architecture: 's390x' }).status, 'problem');
});

test('BTF: found by its magic; missing and damaged are problems of the kernel', async () => {
  const btf = '/sys/kernel/btf/vmlinux';
  const good = await checkBtf(host({ [btf]: Buffer.from([0x9f, 0xeb, 1, 0]) }), null);
  assert.equal(good.status, 'ok');
  assert.match(good.detail, /4 bytes/);
  assert.equal((await checkBtf(host({ [btf]: 'ELF' }), null)).kind, 'kernel');
  assert.equal((await checkBtf(host(), null)).kind, 'kernel');
  assert.match((await checkBtf(host(), '/no/such/btf')).detail, /\/no\/such\/btf: ENOENT/);
});

test('lockdown: confidentiality is a problem, integrity is not', async () => {
  const at = (text: string) => checkLockdown(host({ '/sys/kernel/security/lockdown': text }));
  assert.equal((await at('none integrity [confidentiality]\n')).kind, 'kernel');
  assert.equal((await at('none [integrity] confidentiality\n')).status, 'ok');
});

test('locked memory counts only before 5.11', async () => {
  const files = {
    '/proc/self/limits': 'Max locked memory         65536                65536                bytes\n',
    '/proc/self/status': 'CapEff:\t000000c000000002\n',
  };
  assert.equal((await checkMemlock(host(files, '5.10.0'), 1 << 20)).kind, 'permission');
  assert.equal((await checkMemlock(host(files, '5.11.0'), 1 << 20)).status, 'ok');
});

test('memory: too little is a warning that names the limits', async () => {
  const at = host({ '/proc/meminfo': 'MemTotal: 9 kB\nMemAvailable:     102400 kB\n' });
  assert.equal((await checkMemory(at, 50 << 20)).status, 'ok');
  assert.match((await checkMemory(at, 200 << 20)).cure ?? '', /limits\.open_files/);
});

test('runtimes are found by program, socket and state folder, and none is a warning', async () => {
  const [found] = await checkRuntimes(host({ '/usr/bin/crun': '', '/run/runc/': '' }));
  assert.match(found.detail, /programs: crun; sockets: none; state: \/run\/runc/);
  assert.equal((await checkRuntimes(host()))[0].status, 'warning');
});

const ID = 'a'.repeat(64);
const AUTO = { by: 'auto', cgroup1Hierarchy: 'auto' } as const;
const V1 = '31 23 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n';
const V2 = '30 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';

test('scope: the hierarchy that shows the containers is named, with their number', async () => {
  const files = {
    '/proc/self/mountinfo': V1 + V2,
    [`/sys/fs/cgroup/pids/docker/${ID}/`]: '',
    '/sys/fs/cgroup/unified/': '',
  };
  const [layout, scope] = await checkScope(host(files), AUTO);
  assert.match(layout.detail, /^hybrid: .*unified \(0 containers\); v1 pids at .* \(1 containers\)/);
  assert.equal(scope.status, 'ok');
  assert.match(scope.detail, /1 of 1 containers/);
  const [, forced] = await checkScope(host(files), { ...AUTO, by: 'cgroup2' });
  assert.equal(forced.status, 'warning');
  assert.match(forced.detail, /0 of 1 containers/);
});

test('scope: a group that only looks like containerd’s does not count as a container', async () => {
  const files = { '/proc/self/mountinfo': V2, [`/sys/fs/cgroup/unified/someone/${'b'.repeat(32)}/`]: '' };
  assert.match((await checkScope(host(files), AUTO))[0].detail, /\(0 containers\)/);
});

test('scope: without a hierarchy namespaces are taken, with a warning; so for a part of the tree', async () => {
  const none = host({ '/proc/self/mountinfo': '' });
  const [layout, scope] = await checkScope(none, AUTO);
  assert.deepEqual([layout.status, scope.status], ['warning', 'ok']);
  assert.match(scope.detail, /mount namespace/);
  assert.equal((await checkScope(none, { ...AUTO, by: 'cgroup2' }))[1].kind, 'kernel');
  const part = V2.replace('0:27 /', '0:27 /docker/x');
  const checks = await checkScope(host({ '/proc/self/mountinfo': part }), AUTO);
  assert.equal(checks.at(-1)?.status, 'warning');
});

test('attach: fentry is taken when it works, tracepoint otherwise; neither is a problem', async () => {
  const probe = (tracepoint: boolean, fentry: boolean) => async () => [
    { mode: 'tracepoint', usable: tracepoint, detail: 'x' } as const,
    { mode: 'fentry', usable: fentry, detail: 'y' } as const,
  ];
  const auto = { btfPath: null, reads: 'auto' } as const;
  assert.match((await checkAttachModes(probe(true, true), auto)).detail, /auto takes fentry/);
  assert.match(
    (await checkAttachModes(probe(true, false), auto)).detail,
    /auto takes tracepoint.*fentry does not work \(y\)/,
  );
  assert.equal((await checkAttachModes(probe(false, false), auto)).kind, 'kernel');
  assert.equal((await checkAttachModes(async () => Promise.reject(new Error('boom')), auto)).kind, 'kernel');
});

test('node: 22.18 is the oldest', () => {
  assert.deepEqual(
    ['20.20.0', '22.17.9', '22.18.0', '24.1.0'].map((it) => checkNode(it).status),
    ['problem', 'problem', 'ok', 'ok'],
  );
});

test('koffi loads here', async () => {
  assert.equal((await checkLibraries())[0].status, 'ok');
});

test('backend: a port that listens, one that does not, and no address', async (context) => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  context.after(() => server.close());
  const tried = async (endpoint: string, variables = {}) =>
    (await checkBackend({ endpoint, protocol: 'grpc' }, variables, true)).at(-1)!;
  assert.equal((await tried(`http://127.0.0.1:${port}`)).status, 'ok');
  assert.match((await tried('http://127.0.0.1:1')).detail, /ECONNREFUSED/);
  assert.match(
    (await tried('127.0.0.1:1')).detail,
    /https:.*ECONNREFUSED/,
    'without a scheme as fdspan run takes it',
  );
  assert.match((await tried('4317')).detail, /is no address/);
  assert.equal((await tried('ftp://127.0.0.1')).kind, 'configuration');
  assert.deepEqual(await checkBackend({ endpoint: 'http://127.0.0.1:1', protocol: 'grpc' }, {}, false), []);
});

test('backend: through a proxy, it is the proxy that is tried, and its password is not shown', async (context) => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  context.after(() => server.close());
  const backend = { endpoint: 'https://backend.invalid:4317', protocol: 'grpc' } as const;
  const variables = { HTTPS_PROXY: `http://me:secret@127.0.0.1:${port}` };
  const [proxy, reached] = await checkBackend(backend, variables, true);
  assert.match(proxy.detail, new RegExp(`HTTPS_PROXY.*127\\.0\\.0\\.1:${port}`, 'i'));
  assert.deepEqual([proxy.status, reached.status], ['ok', 'ok'], reached.detail);
  assert.doesNotMatch(JSON.stringify([proxy, reached]), /secret/);
  assert.deepEqual(await checkBackend(backend, { ...variables, NO_PROXY: 'backend.invalid' }, false), []);
  const [wrong, ...rest] = await checkBackend(backend, { HTTPS_PROXY: 'socks5://127.0.0.1:1' }, true);
  assert.deepEqual([wrong.kind, rest], ['configuration', []]);
});

test('exit codes: configuration before permission before kernel before warnings', () => {
  const checks = [
    ok('a', ''),
    warning('b', '', ''),
    problem('c', 'kernel', '', ''),
    problem('d', 'permission', '', ''),
  ];
  assert.equal(exitCodeOfChecks([...checks, problem('e', 'configuration', '', '')]), 78);
  assert.equal(exitCodeOfChecks(checks), 77);
  assert.equal(exitCodeOfChecks(checks.slice(0, 3)), 69);
  assert.equal(exitCodeOfChecks(checks.slice(0, 2)), 1);
  assert.equal(exitCodeOfChecks(checks.slice(0, 1)), 0);
});

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function runDoctor(args: string[], seams: DoctorSeams) {
  const io = { stdout: new Sink(), stderr: new Sink(), env: {} };
  return { exitCode: await doctor(args, io, seams), out: io.stdout.text, err: io.stderr.text };
}

test('the report gives each problem its cure, and JSON the same checks with the exit code', async () => {
  const seams = { host: host({ '/proc/self/mountinfo': V2, '/sys/fs/cgroup/unified/': '' }), probe: null };
  const text = await runDoctor([], seams);
  assert.equal(text.exitCode, 69);
  assert.match(text.out, /^PROBLEM {2}BTF .*vmlinux: ENOENT\n +→ Boot a kernel/m);
  assert.match(text.out, /not fit for fdspan/);
  const json = JSON.parse((await runDoctor(['--json'], seams)).out) as {
    exit_code: number;
    checks: { name: string }[];
  };
  assert.equal(json.exit_code, 69);
  assert.ok(json.checks.some(({ name }) => name === 'BTF'));
});

test('a bad configuration is 78, and the other checks are made all the same', async () => {
  const { exitCode, out } = await runDoctor(['--set', 'no.such=1'], { host: host(), probe: null });
  assert.equal(exitCode, 78);
  assert.match(out, /PROBLEM {2}configuration .*no\.such/);
  assert.match(out, /kernel/);
});

test('an unknown option is 64', async () => {
  assert.equal((await runDoctor(['--what'], {})).exitCode, 64);
});
