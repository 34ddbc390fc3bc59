// Writes config/default.yaml: every key of the schema with its meaning, default and variable. `--check`
// compares instead of writing.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { stringify } from 'yaml';
import { variableOf } from '../src/config/suggestion.ts';
import { KEYS } from '../src/config/schema.ts';

const lines = [
  '# Every key of fdspan, with its default. Copy to /etc/fdspan/fdspan.yaml what you change.',
  '# Made by `npm run generate` from src/config/schema.ts.',
];
let open: string[] = [];
for (const [key, { doc, default: value }] of Object.entries(KEYS)) {
  const parents = key.split('.').slice(0, -1);
  const shared = parents.findIndex((name, depth) => open[depth] !== name);
  for (let depth = shared === -1 ? parents.length : shared; depth < parents.length; depth += 1) {
    lines.push(`${'  '.repeat(depth)}${parents[depth]}:`);
  }
  open = parents;
  const indent = '  '.repeat(parents.length);
  lines.push(`${indent}# ${doc} ${variableOf(key)}`);
  const written = stringify(
    { [key.split('.').at(-1)!]: value },
    { flowCollectionPadding: false, lineWidth: 0, collectionStyle: 'flow' },
  );
  lines.push(`${indent}${written.trim().replace(/^\{(.*)\}$/s, '$1')}`);
}
const target = fileURLToPath(new URL('../config/default.yaml', import.meta.url));
const text = await format(lines.join('\n'), { ...(await resolveConfig(target)), filepath: target });
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    process.stderr.write('config/default.yaml differs from src/config/schema.ts: run `npm run generate`\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, text);
}
