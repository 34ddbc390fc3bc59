// The keys of the spool: what is refused, and what `fdspan check` warns of before the start.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Check, DoctorHost } from '../../src/cli/doctor-check.ts';
import { checkFolders } from '../../src/cli/doctor-folders.ts';
import { pumpOptions } from '../../src/config/options.ts';
import { REQUEST_BYTES_MIN } from '../../src/encode/request.ts';
import { runToExit } from '../helpers/collector-process.ts';
import { load, problemsOf } from '../helpers/config.ts';
import { mountTmpfs, whyNoPrivateDisk } from '../helpers/private-disk.ts';

const HOST: DoctorHost = { root: '', environment: {}, kernelRelease: '', architecture: '' };
const NOBODY = 65534;
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'fdspan-spool-config-'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'closed'), { mode: 0o700 });
  mkdirSync(join(folder, 'open'));
  chmodSync(join(folder, 'open'), 0o777);
  writeFileSync(join(folder, 'file'), '');
});
after(() => rmSync(folder, { recursive: true }));

function check(dir: string, options: { uid?: number; json?: boolean } = {}) {
  const { json = false, ...rest } = options;
  const sets = ['--set', `export.spool.dir=${dir}`, '--set', 'export.spool.bytes_max=16MiB'];
  return runToExit(['check', ...sets, ...(json ? ['--json'] : [])], { ...rest, env: { FDSPAN_DEV: '1' } });
}

test('without a key there is no spool; its folder is a whole path, its size has a unit', () => {
  assert.deepEqual(load('').config.export.spool, { dir: null, bytesMax: 1 << 30 });
  const text = 'export: {spool: {dir: /var/lib/fdspan/spool, bytes_max: 1.5GiB}}\n';
  assert.deepEqual(load(text).config.export.spool, {
    dir: '/var/lib/fdspan/spool',
    bytesMax: 1.5 * (1 << 30),
  });
});

test('a wrong folder and a wrong size are told with their lines, and what is right', () => {
  const told = (value: string): readonly string[] => problemsOf(`export:\n  spool:\n    ${value}\n`);
  assert.deepEqual(told('dir: var/spool'), [
    'f.yaml:3: export.spool.dir: "var/spool" must be an absolute path, or null',
  ]);
  assert.match(told('dir: ""')[0], /^f\.yaml:3: export\.spool\.dir: .*text/);
  assert.match(told('dir: "/a\\0b"')[0], /^f\.yaml:3: export\.spool\.dir: .*text/);
  for (const size of ['1GB', '-1', '1.5', 'much', '0.1KiB'])
    assert.match(
      told(`bytes_max: ${size}`)[0],
      /must be (a size in whole bytes, such as 512KiB|from 16MiB)/,
      size,
    );
  for (const size of ['15MiB', '0', '1025GiB'])
    assert.match(told(`bytes_max: ${size}`)[0], /bytes_max: .* must be from 16MiB to 1024GiB/, size);
});

test('check warns of a file in the place of the folder, and of one in the way to it', async () => {
  const { exitCode, stdout, stderr } = await check(join(folder, 'file'));
  const told = `the folder can't be used by user ${process.getuid?.()}: `;
  assert.equal(
    stderr,
    `fdspan check: warning: --set: export.spool.dir: ${told}${folder}/file isn't a folder\n`,
  );
  assert.equal(exitCode, 0, 'a collector goes on without its spool');
  assert.match(stdout, /^export\.spool\.dir: /m);
  assert.match((await check(join(folder, 'file/spool'))).stderr, /warning: .*spool\.dir: .*ENOTDIR/);
});

test(
  'check and doctor warn of a disk without room for the spool, and count what it has already as room',
  { skip: whyNoPrivateDisk() ?? false },
  async (t) => {
    const disk = await mountTmpfs(t, 2 << 20);
    const { stderr } = await check(`${disk.path}/spool`);
    const told = 'its file system has room for 2 MiB, and export.spool.bytes_max is 16 MiB';
    assert.equal(stderr, `fdspan check: warning: --set: export.spool.dir: ${told}\n`);
    const larger = await mountTmpfs(t, 20 << 20);
    const dir = `${larger.path}/spool`;
    mkdirSync(dir);
    const doctor = async (): Promise<Check> => {
      const spool = { dir, bytesMax: 16 << 20 };
      return (await checkFolders(HOST, { socket: '/x/s', stateFile: null, spool })).at(-1)!;
    };
    // 12 MiB free, and 8 that the spool has.
    writeFileSync(join(dir, '00000001-00000001.spool'), Buffer.alloc(8 << 20));
    assert.equal((await check(dir)).stderr, '');
    const fits = await doctor();
    assert.deepEqual([fits.status, /room for 20 MiB, 16 MiB at most/.test(fits.detail)], ['ok', true]);
    // 5 MiB more are of somebody else.
    writeFileSync(join(dir, 'foreign'), Buffer.alloc(5 << 20));
    assert.match((await check(dir)).stderr, /room for 15 MiB/);
    const tooSmall = await doctor();
    assert.deepEqual([tooSmall.status, /room for 15 MiB/.test(tooSmall.detail)], ['warning', true]);
  },
);

test('check says nothing of a folder that can be made, and makes none', async () => {
  const { exitCode, stderr } = await check(join(folder, 'open/a/b/spool'));
  assert.deepEqual([exitCode, stderr], [0, '']);
  assert.throws(() => rmSync(join(folder, 'open/a')), { code: 'ENOENT' });
});

test(
  'check warns of a folder that its user has no rights in, also where it is to be made there',
  { skip: process.getuid?.() === 0 ? false : 'becoming another user needs root' },
  async () => {
    const text = `the folder can't be used by user ${NOBODY}: EACCES: permission denied`;
    for (const dir of ['closed', 'closed/spool']) {
      const { exitCode, stdout } = await check(join(folder, dir), { uid: NOBODY, json: true });
      const { valid, warnings } = JSON.parse(stdout);
      assert.deepEqual([exitCode, valid, warnings.length], [0, true, 1]);
      assert.equal(warnings[0].key, 'export.spool.dir');
      assert.equal(warnings[0].source, '--set');
      assert.ok(warnings[0].message.startsWith(text), warnings[0].message);
    }
    const { stderr } = await check(join(folder, 'open'), { uid: NOBODY });
    assert.equal(stderr, '');
  },
);

test('the least queue holds several of the largest requests, and each of them holds the largest span', () => {
  const ring = { ringFd: -1, consumerAddress: 0n, producerAddress: 0n, ringBytes: 4096 };
  const bytesOf = (size: string): number =>
    pumpOptions(load(`export.queue.bytes_max: ${size}\n`).config, ring, '1.0').requestBytesMax;
  assert.equal(bytesOf('1MiB'), 256 * 1024);
  assert.ok(bytesOf('1MiB') >= REQUEST_BYTES_MIN);
  assert.equal(bytesOf('32MiB'), 2 << 20);
});
