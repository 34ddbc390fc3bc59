// What doctor tells of this process's rights, of the clocks, and of the folders that fdspan writes.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { Check, DoctorHost } from '../../src/cli/doctor-check.ts';
import { checkClocks, isClockSynchronized } from '../../src/cli/doctor-clock.ts';
import { checkFolders } from '../../src/cli/doctor-folders.ts';
import {
  checkBpfPolicy,
  checkCapabilities,
  checkPrecedence,
  checkSeccomp,
} from '../../src/cli/doctor-rights.ts';

const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

/** A host whose files are these. */
function host(files: Record<string, string> = {}): DoctorHost {
  const root = mkdtempSync(join(tmpdir(), 'fdspan-doctor-'));
  folders.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, content);
  }
  return { root, environment: {}, kernelRelease: '6.12.1', architecture: 'x64' };
}

const status = (text: string): DoctorHost => host({ '/proc/self/status': `Name:\tx\n${text}` });
const withCapabilities = (mask: string, uid = 1000): Promise<Check[]> =>
  checkCapabilities(status(`Uid:\t${uid}\t${uid}\t${uid}\t${uid}\nCapEff:\t${mask}\n`));
const missing = (checks: readonly Check[]): string[] =>
  checks.map(({ detail }) => /^without (\w+): ./.exec(detail)?.[1] ?? '').filter((it) => it !== '');

// Bits of linux/capability.h: CAP_DAC_OVERRIDE 1, CAP_DAC_READ_SEARCH 2, CAP_SYS_ADMIN 21, CAP_PERFMON 38, CAP_BPF 39.
test('each capability that is missing is named with its cost; without the first two it is a problem of rights', async () => {
  const none = await withCapabilities('0000000000000000');
  assert.deepEqual(missing(none), ['CAP_BPF', 'CAP_PERFMON', 'CAP_DAC_READ_SEARCH', 'CAP_DAC_OVERRIDE']);
  assert.deepEqual(
    none.map(({ status: of, kind }) => `${of} ${kind}`),
    ['ok null', 'problem permission', 'problem permission', 'warning null', 'warning null'],
  );
  assert.ok(none.slice(1).every(({ cure }) => cure !== null));
  assert.deepEqual(missing(await withCapabilities('0000008000000006')), ['CAP_PERFMON']);
  assert.deepEqual(missing(await withCapabilities('000000c000000006')), []);
});

test('CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, and what is held without need is counted', async () => {
  const [held, ...rest] = await withCapabilities('0000000000200006');
  assert.deepEqual(rest, []);
  assert.match(held.detail, /CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN, which stands for/);
  const [all] = await withCapabilities('000001ffffffffff');
  assert.match(all.detail, /CAP_BPF, CAP_PERFMON, .*; 37 more that fdspan doesn’t need/);
});

test('root reads its own files: without the others it is told what remains, and not warned', async () => {
  const checks = await withCapabilities('000000c000000000', 0);
  assert.deepEqual(missing(checks), ['CAP_DAC_READ_SEARCH', 'CAP_DAC_OVERRIDE']);
  assert.ok(checks.every((check) => check.status === 'ok'));
  assert.equal((await checkCapabilities(host()))[0].status, 'warning', 'no status to read');
});

test('who may call bpf(2), and which security modules may refuse it', async () => {
  const files = {
    '/proc/sys/kernel/unprivileged_bpf_disabled': '2\n',
    '/sys/kernel/security/lsm': 'lockdown,capability,selinux,bpf',
  };
  const [setting, modules] = await checkBpfPolicy(host(files));
  assert.match(setting.detail, /unprivileged_bpf_disabled is 2/);
  assert.match(modules.detail, /^lockdown,capability,selinux,bpf: .*bpf.*SELinux/);
  const unknown = await checkBpfPolicy(host());
  assert.deepEqual(
    unknown.map((check) => [check.status, /not known/.test(check.detail)]),
    [
      ['ok', true],
      ['ok', true],
    ],
  );
});

test('a seccomp filter is told with the number of filters; strict mode is a problem', async () => {
  assert.match((await checkSeccomp(status('NoNewPrivs:\t0\nSeccomp:\t0\n'))).detail, /^no filter$/);
  const filtered = await checkSeccomp(status('NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n'));
  assert.match(filtered.detail, /^2 filters: .*no_new_privs is set$/);
  assert.equal((await checkSeccomp(status('Seccomp:\t1\n'))).kind, 'permission');
  assert.match((await checkSeccomp(status(''))).detail, /not known/);
});

test('the pump has precedence by the limit or by CAP_SYS_NICE', async () => {
  const at = async (limit: string, mask: string): Promise<string> =>
    (
      await checkPrecedence(
        host({
          '/proc/self/limits': `Max nice priority         ${limit}                   ${limit}\n`,
          '/proc/self/status': `CapEff:\t${mask}\n`,
        }),
      )
    ).detail;
  assert.match(await at('35', '0'), /before other/);
  assert.match(await at('0', '0000000000800000'), /before other/);
  assert.match(await at('0', '0'), /like other.*RLIMIT_NICE 0/);
});

const places = (spool: string | null, bytesMax = 1) => ({
  socket: '/run/fdspan/control.sock',
  stateFile: '/run/fdspan/open-times.state',
  spool: { dir: spool, bytesMax },
});

test('folders: made or to be made, each with what it costs when it can’t be written', async () => {
  const root = host({ '/run/x': '', '/var/lib/fdspan': 'a file' });
  const [socket, state, spool] = await checkFolders(root, places('/var/lib/fdspan/spool'));
  assert.deepEqual(
    [socket, state].map((check) => [check.name, check.status, check.detail]),
    [
      ['control socket', 'ok', '/run/fdspan (to be made in /run) can be written'],
      ['state file', 'ok', '/run/fdspan (to be made in /run) can be written'],
    ],
  );
  assert.deepEqual([spool.status, spool.cure !== null], ['warning', true]);
  assert.match(spool.detail, /ENOTDIR; what memory can’t hold/);
  const off = await checkFolders(root, { ...places(null), stateFile: null });
  assert.deepEqual(
    off.map(({ name, status: of }) => [name, of]),
    [
      ['control socket', 'ok'],
      ['spool', 'ok'],
    ],
  );
});

test('a spool that may grow beyond its disk is a warning', async () => {
  const root = host({ '/spool/x': '' });
  assert.equal((await checkFolders(root, places('/spool'))).at(-1)?.status, 'ok');
  const [, , spool] = await checkFolders(root, places('/spool', 2 ** 60));
  assert.deepEqual([spool.status, /export\.spool\.bytes_max/.test(spool.cure ?? '')], ['warning', true]);
});

test(
  'folders of another user are a warning',
  { skip: process.getuid?.() === 0 && 'root may write every folder' },
  async () => {
    const [socket] = await checkFolders({ ...host(), root: '' }, { ...places(null), socket: '/etc/x.sock' });
    assert.match(socket.detail, /EACCES/);
  },
);

test('clocks: a wall clock that was never set and a slow source are warnings, and so is a boot without a number', async () => {
  const files = {
    '/sys/devices/system/clocksource/clocksource0/current_clocksource': 'hpet\n',
    '/proc/sys/kernel/random/boot_id': '30a03eb8-e269-48ea-affd-e87bc346556b\n',
  };
  const statuses = async (...given: Parameters<typeof checkClocks>): Promise<string[]> =>
    (await checkClocks(...given)).map((check) => check.status);
  assert.deepEqual(await statuses(host(files), 0, true), ['warning', 'warning', 'ok']);
  const well = { ...files, '/sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n' };
  const now = Date.UTC(2027, 1, 1);
  assert.deepEqual(await statuses(host(well), now, false), ['ok', 'ok', 'ok']);
  assert.deepEqual(await statuses(host(), now, null), ['ok', 'ok', 'warning']);
});

test('the kernel is asked whether the clock is synchronized, and nothing is changed', () => {
  assert.ok([true, false, null].includes(isClockSynchronized()));
});
