// Generates src/model/record-layout.ts from bpf/record.h: struct offsets from the BTF that the compiler
// made of it, enums and constants from its text. `--check` compares instead of writing.
import { readFileSync, writeFileSync } from 'node:fs';
import { Btf } from '../src/bpf/btf.ts';

const root = new URL('../', import.meta.url);
const header = readFileSync(new URL('bpf/record.h', root), 'utf8');
const target = new URL('src/model/record-layout.ts', root);

const STRUCTS = [
  'pair_record',
  'scope_created_record',
  'scope_removed_record',
  'scope_described_record',
  'slice_record',
  'scope_policy',
  'settings',
  'live_settings',
  'host_namespaces',
  'walk_arguments',
  'user_range',
  'filters',
  'judge_arguments',
  'sweep_arguments',
  'expire_arguments',
  'held_arguments',
  'open_file',
  'open_identity',
  'open_restore',
  'restore_arguments',
  'self_test_arguments',
  'pending_open',
  'sampling_rules',
  'sampling',
  'slot_sampling',
  'slot_offers',
  'container_metrics',
  'metrics_settings',
  'buckets_arguments',
  'close_arguments',
];

function constants(): string[] {
  const lines: string[] = [];
  for (const [, name, value] of header.matchAll(/^#define (\w+)[ \t]+(\d+)\b/gm))
    lines.push(`export const ${name} = ${value};`);
  for (const [, name, value] of header.matchAll(/^#define (\w+)[ \t]+(0x[0-9a-f]+)ULL\b/gm))
    lines.push(`export const ${name} = ${value}n;`);
  for (const [, body] of header.matchAll(/^enum \w+ \{([^}]*)\}/gm)) {
    for (const [, name, value, shift] of body.matchAll(/^\s*(\w+) = (\d+)(?: << (\d+))?/gm)) {
      lines.push(`export const ${name} = ${Number(value) << Number(shift ?? 0)};`);
    }
  }
  return lines;
}

function offsets(btf: Btf): string[] {
  return STRUCTS.flatMap((name) => {
    const struct = btf.struct(name);
    if (struct === undefined)
      throw new Error(`struct ${name} isn't in the object's BTF: use it in a program`);
    const prefix = name.toUpperCase();
    return [
      ...struct.members
        .filter((member) => !member.name.startsWith('reserved'))
        .map((member) => `export const ${prefix}_${member.name.toUpperCase()} = ${member.offsetBytes};`),
      `export const ${prefix}_BYTES = ${struct.bytes};`,
    ];
  });
}

const btf = Btf.open(new URL('bpf/build/layout.o', root).pathname);
const text = [
  '// Generated from bpf/record.h by `npm run generate`: offsets and sizes in bytes. Do not edit.',
  ...constants(),
  ...offsets(btf),
  '',
].join('\n');
btf.close();
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    process.stderr.write('src/model/record-layout.ts differs from bpf/record.h: run `npm run generate`\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, text);
}
