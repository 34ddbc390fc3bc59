// The layering of src/ holds: dependency-cruiser judges it by .dependency-cruiser.cjs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

function cruise(folder: string): { status: number | null; output: string } {
  const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
  const args = [program, '--config', join(root, '.dependency-cruiser.cjs'), 'src'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

/** Makes a tree of the given sources, judges it, and returns the names of the rules that it broke. */
function rulesBroken(sources: Readonly<Record<string, string>>): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-layers-'));
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module","dependencies":{"koffi":"*","yaml":"*"}}');
    writeFileSync(join(folder, 'tsconfig.json'), '{"compilerOptions":{"module":"nodenext"}}');
    for (const [path, text] of Object.entries(sources)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const { output } = cruise(folder);
    return [...output.matchAll(/^\s*error ([a-z-]+):/gm)].map((match) => match[1] ?? '').sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the sources keep the layering', () => {
  const { status, output } = cruise(root);
  assert.equal(status, 0, output);
});

test('a stage that imports another stage breaks the rule', () => {
  const sources = {
    'src/main.ts': "import './decode/a.ts';\n",
    'src/decode/a.ts': "import '../filter/b.ts';\n",
    'src/filter/b.ts': 'export const b = 1;\n',
  };
  assert.deepEqual(rulesBroken(sources), ['stage-knows-no-other']);
});

test('native code, sockets and configuration parsing outside their homes break the rules', () => {
  const sources = {
    'src/main.ts': "import './pump/a.ts';\n",
    'src/pump/a.ts': "import 'koffi';\nimport 'node:net';\nimport 'yaml';\n",
  };
  const expected = ['configuration-parsing-in-config', 'native-code-in-bpf-and-ring', 'sockets-have-a-home'];
  assert.deepEqual(rulesBroken(sources), expected);
});

test('a cycle and an orphan break the rules', () => {
  const sources = {
    'src/main.ts': "import './model/a.ts';\n",
    'src/model/a.ts': "import './b.ts';\n",
    'src/model/b.ts': "import './a.ts';\n",
    'src/model/alone.ts': 'export const alone = 1;\n',
  };
  assert.deepEqual([...new Set(rulesBroken(sources))], ['no-cycle', 'no-orphan']);
});
