// What is made from other files is what they make, and the other architecture compiles.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Btf, BTF_KIND_FUNC } from '../../src/bpf/btf.ts';
import { libbpf } from '../../src/bpf/libbpf.ts';
import * as layout from '../../src/model/record-layout.ts';
import { tooDeep } from '../helpers/bpf-stacks.ts';

const root = join(import.meta.dirname, '../..');
const objects = ['fdspan.bpf.o', 'fdspan-probe-reads.bpf.o'].map((name) => join(root, 'bpf/build', name));

function whyNoBtf(): string | false {
  if (!objects.every((path) => existsSync(path))) return 'the BPF objects are not built: npm run build';
  try {
    libbpf();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

function clang(): string {
  const print = ['-C', 'bpf', '--no-print-directory', '--eval', 'print:; @echo $(CLANG)', 'print'];
  return spawnSync('make', print, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? '';
}

function whyNoCompiler(): string | false {
  const found = clang();
  if (found === '') return 'make is missing';
  return spawnSync(found, ['--version']).status === 0 ? false : `${found} is missing`;
}

const skipBtf = whyNoBtf();

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-generated-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function isOurs(path: string): boolean {
  return basename(path) !== 'node_modules';
}

function check(script: string, folder: string): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [join('scripts', script), '--check'], { cwd: folder, encoding: 'utf8' });
}

for (const [script, made, from, skip] of [
  ['generate-record-layout.ts', 'src/model/record-layout.ts', 'bpf/record.h', skipBtf],
  ['generate-default-config.ts', 'config/default.yaml', 'src/config/schema.ts', false],
  ['generate-metrics-page.ts', 'docs/metrics.md', 'src/telemetry/instrument-list.ts', false],
] as const) {
  test(`${made} is what ${from} makes`, { skip }, () => {
    const { status, stderr } = check(script, root);
    assert.equal(status, 0, stderr);
  });

  test(`a ${made} that was edited is told`, { skip }, (t) => {
    const copy = temporaryFolder(t);
    for (const name of [
      'scripts',
      'src',
      'bpf',
      'config',
      'docs/metrics.md',
      'package.json',
      '.prettierrc.json',
    ])
      cpSync(join(root, name), join(copy, name), { recursive: true, filter: isOurs });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    appendFileSync(join(copy, made), '\n');
    const { status, stderr } = check(script, copy);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /npm run generate/);
  });
}

test('the built objects have the structs of the layout, byte by byte', { skip: skipBtf }, () => {
  const values = layout as unknown as Readonly<Record<string, number | undefined>>;
  for (const path of objects) {
    const btf = Btf.open(path);
    for (const name of ['settings', 'scope_policy', 'pending_open', 'judge_arguments', 'sweep_arguments']) {
      const struct = btf.struct(name);
      assert.ok(struct !== undefined, `struct ${name} in ${path}`);
      assert.equal(struct.bytes, values[`${name.toUpperCase()}_BYTES`], name);
      for (const member of struct.members.filter((it) => !it.name.startsWith('reserved')))
        assert.equal(member.offsetBytes, values[`${name}_${member.name}`.toUpperCase()], member.name);
    }
    btf.close();
  }
});

test(
  'both builds of the programs compile for arm64, and fit its stack',
  { skip: skipBtf || whyNoCompiler() },
  (t) => {
    const out = temporaryFolder(t);
    const { status, stderr } = spawnSync('make', ['-C', 'bpf', '-j2', 'arm64', `OUT=${out}`], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    for (const name of objects.map((path) => basename(path))) {
      const file = join(out, 'arm64', name);
      const btf = Btf.open(file);
      for (const program of ['sys_enter', 'sys_exit', 'sched_process_exit', 'sweep_pending'])
        assert.ok(btf.has(program, BTF_KIND_FUNC), `${name}: ${program}`);
      btf.close();
      assert.deepEqual(tooDeep(file), []);
    }
  },
);
